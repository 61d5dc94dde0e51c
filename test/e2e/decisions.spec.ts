import { DECISION_ROLES } from '../support/door.js';
import { decisionsSuite } from './decisions.cases.js';

decisionsSuite('embedded', ['all']);
decisionsSuite('embedded', DECISION_ROLES);
