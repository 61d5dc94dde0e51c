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
});
