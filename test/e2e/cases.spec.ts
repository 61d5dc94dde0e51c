import { DECISION_ROLES } from '../support/door.js';
import { casesSuite } from './cases.cases.js';

casesSuite('embedded', ['all']);
casesSuite('embedded', [DECISION_ROLES.filter((role) => role !== 'cases').join(','), 'cases']);
