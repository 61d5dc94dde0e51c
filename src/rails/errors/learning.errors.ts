import { defineErrors } from './error.js';

export const LEARNING_ERRORS = defineErrors({
  LEARNING_ROWS_INVALID: {
    status: 422,
    retryable: false,
    title: 'Nothing can be learnt or measured from these rows.',
    remedy: 'The detail says what is wrong: columns of unequal length, infinite values, or labels of one kind alone.',
  },
  LEARNING_SETTINGS_INVALID: {
    status: 422,
    retryable: false,
    title: 'A learner cannot work with these settings.',
    remedy: 'The detail names the setting and the range that it may have.',
  },
  LEARNING_STOPPED: {
    status: 409,
    retryable: true,
    title: 'The training was stopped before it was done.',
    remedy: 'Nothing was kept of it; start it again if it is still wanted.',
  },
});
