import { DECISION_ROLES } from '../support/door.js';
import { registrySuite } from './registry.cases.js';

const without = DECISION_ROLES.filter((role) => role !== 'mpr' && role !== 'df');
registrySuite('real', [without.join(','), 'mpr', 'df']);
