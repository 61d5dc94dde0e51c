import { governanceSuite } from '../e2e/governance.cases.js';

governanceSuite('embedded', ['all'], { whole: true });
