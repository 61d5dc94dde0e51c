import { defineErrors } from './error.js';

export const STREAM_ERRORS = defineErrors({
  WSP_RUN_NOT_READY: {
    status: 409,
    retryable: true,
    title: 'The run is not ready, so nothing of it may be streamed.',
    remedy: 'Wait for READY, then start the stream.',
  },
  WSP_NOTHING_TO_STREAM: {
    status: 422,
    retryable: false,
    title: 'The run has no sealed traffic.',
    remedy: 'Stream generated or imported runs; producers push into a live one.',
  },
  WSP_STREAM_NOT_FOUND: {
    status: 404,
    retryable: false,
    title: 'Nothing of this run was ever streamed.',
    remedy: 'Start the stream first.',
  },
  WSP_VIEW_MISMATCH: {
    status: 409,
    retryable: false,
    title: 'READY and the facts view do not agree.',
    remedy: 'Treat the view as tampered: keep it as evidence.',
  },
  WSP_PART_INVALID: {
    status: 422,
    retryable: false,
    title: 'A sealed part is whole, but not what its index says of it.',
    remedy: 'This is a defect of what made the world: keep the part as evidence, and make the world anew.',
  },
});
