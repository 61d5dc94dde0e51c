import { defineErrors } from './error.js';

export const OBJECTS_ERRORS = defineErrors({
  OBJECTS_UNAVAILABLE: {
    status: 503,
    retryable: true,
    title: 'The object store does not answer.',
    remedy: 'Retry with backoff; a put that ended so may stand in the store, and putting the same bytes again is safe.',
  },
  OBJECTS_NOT_FOUND: {
    status: 404,
    retryable: false,
    title: 'No object stands under this key.',
    remedy: 'Check the ref; objects are never deleted by the platform.',
  },
  OBJECTS_DIGEST_MISMATCH: {
    status: 422,
    retryable: false,
    title: 'The bytes are not those that the digest names.',
    remedy: 'Treat the object as tampered or damaged: keep it as evidence and restore it from a copy.',
  },
  OBJECTS_KEY_INVALID: {
    status: 400,
    retryable: false,
    title: 'The key is not one that every object store can hold.',
    remedy:
      'Use lower-case path segments of letters, digits, dot, dash, underscore and equals sign, each 1 to 200 bytes long and not beginning with a dot; 900 bytes in all.',
  },
  OBJECTS_RANGE_INVALID: {
    status: 416,
    retryable: false,
    title: 'The byte range does not lie within the object.',
    remedy: 'Ask for a range with 0 <= start < end <= size.',
  },
  OBJECTS_TOO_LARGE: {
    status: 413,
    retryable: false,
    title: 'The object is larger than the caller takes into memory.',
    remedy: 'Open it as a stream, or allow more bytes.',
  },
  OBJECTS_FORBIDDEN: {
    status: 403,
    retryable: false,
    title: 'The object store does not allow this process to do that.',
    remedy: 'Check the credentials and rights that the wiring gives: the platform must be able to get, put and list.',
  },
  OBJECTS_STORE_FULL: {
    status: 507,
    retryable: true,
    title: 'The object store has no room left, and nothing of this object is visible.',
    remedy: 'Free or add space, then retry.',
  },
});
