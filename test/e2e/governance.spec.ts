import { governanceSuite } from './governance.cases.js';

governanceSuite(['all']);
