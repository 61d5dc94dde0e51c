import { governanceSuite } from '../e2e/governance.cases.js';

governanceSuite(['all'], { whole: true });
