import { defineErrors } from './error.js';

export const EDGE_ERRORS = defineErrors({
  EDGE_UNKNOWN: {
    status: 404,
    retryable: false,
    title: 'There is no edge of this name.',
    remedy: 'Name one that the policy of the edges lists.',
  },
  EDGE_MAPPING_FAILED: {
    status: 422,
    retryable: false,
    title: 'The message cannot be made into a transaction.',
    remedy: 'Correct the message or the mapping; the detail names the place.',
  },
  EDGE_CLOUDEVENT_INVALID: {
    status: 422,
    retryable: false,
    title: 'The message is no CloudEvent of version 1.0 in JSON.',
    remedy: 'Send specversion 1.0 with id, source, type and data.',
  },
});
