import { defineErrors } from './error.js';

export const POSTURE_ERRORS = defineErrors({
  DL_SCOPE_UNKNOWN: {
    status: 404,
    retryable: false,
    title: 'Nobody decides a posture for this scope.',
    remedy: 'Ask for the scope GLOBAL.',
  },
});
