import { DECISION_ROLES } from '../support/door.js';
import { decisionsSuite } from './decisions.cases.js';

decisionsSuite('real', DECISION_ROLES);
