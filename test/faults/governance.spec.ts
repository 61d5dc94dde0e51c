import { governanceSuite } from '../e2e/governance.cases.js';

governanceSuite(['all'], { restarts: true });
