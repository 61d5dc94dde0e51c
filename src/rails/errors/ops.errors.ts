import { defineErrors } from './error.js';

export const OPS_ERRORS = defineErrors({
  OPS_ARCHIVE_GAP: {
    status: 409,
    retryable: false,
    title: 'The archive does not hold all of what was asked for.',
    remedy:
      'The detail names topic, partition and offsets. Restore the chunk from a copy; what was never archived is gone.',
  },
  OPS_ARCHIVE_TAMPERED: {
    status: 409,
    retryable: false,
    title: 'A chunk of the archive is not the one that was written.',
    remedy: 'The detail names topic, partition and offsets. Keep the object as evidence and restore it from a copy.',
  },
  OPS_VERIFICATION_NOT_FOUND: {
    status: 404,
    retryable: false,
    title: 'There is no such verification here.',
    remedy:
      'Ask the process that was asked to verify, or verify again: what was found is kept for the last ones alone.',
  },
  OPS_JOB_INVALID: {
    status: 422,
    retryable: false,
    title: 'What was declared is no job.',
    remedy: 'Correct the member that is named; GET /v1/jobs lists the kinds and what the scope of each may say.',
  },
  OPS_JOB_CONFLICT: {
    status: 409,
    retryable: false,
    title: 'Something else was declared under this op_id.',
    remedy: 'Use an op_id of its own for each job.',
  },
  OPS_JOB_NOT_FOUND: {
    status: 404,
    retryable: false,
    title: 'There is no such job.',
    remedy: 'List the jobs.',
  },
  OPS_JOB_APPROVER: {
    status: 403,
    retryable: false,
    title: 'Who declared the job may not approve it.',
    remedy: 'Have somebody else look at it.',
  },
  OPS_JOB_STATE: {
    status: 409,
    retryable: false,
    title: 'The job does not stand where this can be done.',
    remedy: 'Look where it stands: GET /v1/jobs/{op_id}.',
  },
  OPS_RETENTION_SHORT: {
    status: 409,
    retryable: false,
    title: 'The bus would keep less than is still needed of it.',
    remedy: 'The detail names who needs what. Wait until that is archived or done, or keep it longer.',
  },
  OPS_DRAIN_TARGET: {
    status: 422,
    retryable: false,
    title: 'Nobody can reach what was given as the target of the drain.',
    remedy: 'Name topics that somebody consumes, and offsets that the log has; leave them out for where it ends now.',
  },
  OPS_DRAIN_LATE: {
    status: 409,
    retryable: false,
    title: 'Not every consumer has reached the target in time.',
    remedy: 'The detail names who lags, where and by how much. See to that one, and declare the drain anew.',
  },
  OPS_RECEIPT_TAMPERED: {
    status: 409,
    retryable: false,
    title: 'The receipt is not the one that was written.',
    remedy: 'Keep the object as evidence; the steps of the job stand in the database as well.',
  },
});
