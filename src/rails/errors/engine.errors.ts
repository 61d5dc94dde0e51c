import { defineErrors } from './error.js';

export const ENGINE_ERRORS = defineErrors({
  ENGINE_SOURCE_NOT_FOUND: {
    status: 404,
    retryable: false,
    title: 'The source file is not in the store.',
    remedy: 'Upload it first; the answer to the upload is the ref to use.',
  },
  ENGINE_SOURCE_UNREADABLE: {
    status: 422,
    retryable: false,
    title: 'The source file cannot be read in the stated format.',
    remedy: 'Check the format, the compression and the encoding; the detail names the place.',
  },
  ENGINE_MAPPING_INVALID: {
    status: 422,
    retryable: false,
    title: 'The mapping does not fit.',
    remedy:
      'Correct the mapping; the detail names the place. probity import --dry-run shows what it makes of the file.',
  },
  ENGINE_PARAMETERS_INVALID: {
    status: 422,
    retryable: false,
    title: 'The parameter pack does not fit.',
    remedy: 'Correct the pack; the detail names the place.',
  },
  ENGINE_WORLD_NOT_FOUND: {
    status: 404,
    retryable: false,
    title: 'No world of this fingerprint was sealed.',
    remedy: 'Generate or import it first.',
  },
  ENGINE_BUSY: {
    status: 503,
    retryable: true,
    title: 'The engine makes as many worlds as it may at a time.',
    remedy: 'Ask again later.',
  },
  ENGINE_OUTPUT_NOT_FOUND: {
    status: 404,
    retryable: false,
    title: 'The world has no output of this name.',
    remedy: 'Choose one of the outputs that the seal lists.',
  },
  ENGINE_NOT_DETERMINISTIC: {
    status: 500,
    retryable: false,
    title: 'The same world came out with other bytes than those that stand sealed.',
    remedy:
      'What stands remains as it is. Compare the builds, time zone data and machines that made it twice; the detail names the object.',
  },
  ENGINE_SCRATCH_UNAVAILABLE: {
    status: 507,
    retryable: true,
    title: 'The temporary folder has no room, or cannot be written.',
    remedy: 'Free space where TMPDIR points to, or point it elsewhere, then ask again.',
  },
  ENGINE_STOPPED: {
    status: 503,
    retryable: true,
    title: 'The program stopped before the world was made.',
    remedy: 'Ask again: what was written already is met again as it stands.',
  },
});
