import { DECISION_ROLES } from '../support/door.js';
import { auditSuite } from './audit.cases.js';

// What is kept in files and what is kept in S3 become the same kind of folder.
auditSuite('embedded', ['all'], true);
auditSuite('real', DECISION_ROLES, true);
