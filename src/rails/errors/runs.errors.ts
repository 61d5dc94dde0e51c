import { defineErrors } from './error.js';

export const RUN_ERRORS = defineErrors({
  SR_RUN_NOT_FOUND: {
    status: 404,
    retryable: false,
    title: 'There is no such run.',
    remedy: 'List the runs with probity run list.',
  },
  SR_RUN_NOT_READY: {
    status: 409,
    retryable: true,
    title: 'The run is not ready.',
    remedy: 'Wait until its status says READY; a run that failed says why.',
  },
  SR_EQUIV_KEY_COLLISION: {
    status: 409,
    retryable: false,
    title: 'The equivalence key stands for another intent.',
    remedy: 'Use another key for another run; the same key always means the same run.',
  },
  SR_SCENARIO_BINDING_INVALID: {
    status: 422,
    retryable: false,
    title: 'The request does not bind a world to the run.',
    remedy: 'Correct the request; the detail names the place.',
  },
  SR_LEASE_BUSY: {
    status: 503,
    retryable: true,
    title: 'Another worker advances this run.',
    remedy: 'Ask for its status later.',
  },
});
