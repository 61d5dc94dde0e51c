import { defineErrors } from './error.js';

export const AUDIT_ERRORS = defineErrors({
  DLA_LOG_EMPTY: {
    status: 404,
    retryable: false,
    title: 'The audit log has no checkpoint yet.',
    remedy: 'Ask again when something has been decided: the first checkpoint follows the first record.',
  },
  DLA_RECORD_NOT_FOUND: {
    status: 404,
    retryable: false,
    title: 'No record of the audit log is under this number or path.',
    remedy:
      'Ask for a number below the size of the checkpoint; what was admitted just now is logged within a second or two.',
  },
  DLA_VERIFICATION_NOT_FOUND: {
    status: 404,
    retryable: false,
    title: 'No verification of this id runs here.',
    remedy: 'Start one; a process that restarts forgets the ones before.',
  },
  DLA_LOG_FORKED: {
    status: 500,
    retryable: false,
    title: 'Other bytes stand where the audit log is to grow.',
    remedy:
      'Nothing was overwritten. Find out who else writes under dla/audit/: two installations on one store, or a database that was set back behind its objects.',
  },
});
