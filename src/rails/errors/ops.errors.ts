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
});
