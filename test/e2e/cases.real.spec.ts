import { DECISION_ROLES } from '../support/door.js';
import { casesSuite } from './cases.cases.js';

casesSuite('real', DECISION_ROLES);
