import { defineErrors } from './error.js';

export const HTTP_ERRORS = defineErrors({
  HTTP_NOT_FOUND: {
    status: 404,
    retryable: false,
    title: 'Nothing answers at this address.',
    remedy: 'See /openapi.json for what this process serves; the role may run in another process.',
  },
  HTTP_METHOD_NOT_ALLOWED: {
    status: 405,
    retryable: false,
    title: 'The address does not take this method.',
    remedy: 'See /openapi.json.',
  },
  HTTP_BODY_INVALID: {
    status: 400,
    retryable: false,
    title: 'The body cannot be read as the declared media type.',
    remedy: 'Send well-formed JSON in UTF-8.',
  },
  HTTP_BODY_TOO_LARGE: {
    status: 413,
    retryable: false,
    title: 'The body is larger than this address takes.',
    remedy: 'Send less at once.',
  },
  HTTP_MEDIA_TYPE_UNSUPPORTED: {
    status: 415,
    retryable: false,
    title: 'The address does not take this media type.',
    remedy: 'Send application/json.',
  },
  HTTP_REQUEST_INVALID: {
    status: 400,
    retryable: false,
    title: 'The request does not have the declared shape.',
    remedy: 'Correct the places that the detail names.',
  },
  HTTP_REQUEST_TIMEOUT: {
    status: 408,
    retryable: true,
    title: 'The request did not arrive in time.',
    remedy: 'Send the whole request without pauses.',
  },
});
