import { DECISION_ROLES } from '../support/door.js';
import { poisonSuite } from './decision-poison.cases.js';

poisonSuite('real', DECISION_ROLES);
