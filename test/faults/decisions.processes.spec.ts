import { decisionsSuite, Family } from '../e2e/decisions.cases.js';
import { DECISION_ROLES } from '../support/door.js';

// The same file in one process and in one per role: what is decided must not depend on where.
const family = new Family();
decisionsSuite('embedded', ['all'], family);
decisionsSuite('embedded', DECISION_ROLES, family);
