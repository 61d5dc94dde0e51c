import { defineErrors } from './error.js';

export const RPC_ERRORS = defineErrors({
  RPC_DEADLINE_EXCEEDED: {
    status: 504,
    retryable: true,
    title: 'The call did not finish within its deadline.',
    remedy: 'Retry with a longer deadline; the callee may have done the work.',
  },
  RPC_CANCELLED: {
    // 499 is what proxies log for "client closed request": nobody is left to read it.
    status: 499,
    retryable: false,
    title: 'The caller gave up before an answer came.',
    remedy: 'Nothing is wrong here; the callee was told to stop and may have done the work.',
  },
  RPC_UNAVAILABLE: {
    status: 503,
    retryable: true,
    title: 'The unit that owns this port cannot be reached.',
    remedy: 'Check that its role runs and that the wiring names its address.',
  },
  RPC_OUTCOME_UNKNOWN: {
    status: 503,
    retryable: false,
    title: 'The connection broke after the request was sent, so the callee may have done the work or not.',
    remedy: 'Read back by identity before doing it again.',
  },
  RPC_REQUEST_INVALID: {
    status: 400,
    retryable: false,
    title: 'The request does not have the shape that the port declares.',
    remedy: 'Correct the request; the detail names the place.',
  },
  RPC_RESPONSE_INVALID: {
    status: 502,
    retryable: false,
    title: 'The answer does not have the shape that the port declares.',
    remedy: 'Caller and owner are of different versions: run the same build everywhere.',
  },
  RPC_METHOD_UNKNOWN: {
    status: 404,
    retryable: false,
    title: 'The port has no such method.',
    remedy: 'Caller and owner are of different versions: run the same build everywhere.',
  },
  INTERNAL: {
    status: 500,
    retryable: false,
    title: 'The program failed in a way that it does not know.',
    remedy: 'This is a defect of the program: report it with the trace id.',
  },
});
