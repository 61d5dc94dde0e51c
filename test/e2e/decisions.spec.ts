import { decisionsSuite, Family } from './decisions.cases.js';

decisionsSuite('embedded', ['all'], new Family());
