import { auditSuite } from './audit.cases.js';

auditSuite('embedded', ['all'], false);
