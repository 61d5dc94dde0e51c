import { DECISION_ROLES } from '../support/door.js';
import { decisionsSuite, Family } from './decisions.cases.js';

const family = new Family();
decisionsSuite('embedded', ['all'], family);
decisionsSuite('embedded', DECISION_ROLES, family);
