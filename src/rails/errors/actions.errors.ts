import { defineErrors } from './error.js';

export const ACTION_ERRORS = defineErrors({
  AL_DRAINING: {
    status: 503,
    retryable: true,
    title: 'The actions layer finishes what it has begun and begins nothing new.',
    remedy: 'Set the posture of the policy al.actions to NORMAL; what was asked for meanwhile waits on the bus.',
  },
  AL_ACTION_NOT_FOUND: {
    status: 404,
    retryable: false,
    title: 'No action was asked for under this key.',
    remedy: 'Use an idempotency_key of a decision; an intent is taken a moment after its decision.',
  },
  AL_DISPOSITION_NOT_FOUND: {
    status: 404,
    retryable: false,
    title: 'There is no disposition of this payment yet.',
    remedy: 'Ask again when its decision has been made, or POST /v1/decisions to wait for it.',
  },
});
