import { DECISION_ROLES } from '../support/door.js';
import { governanceSuite } from './governance.cases.js';

const without = DECISION_ROLES.filter((role) => role !== 'ops' && role !== 'df');
governanceSuite('real', [without.join(','), 'ops', 'df']);
