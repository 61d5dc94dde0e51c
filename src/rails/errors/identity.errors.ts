import { defineErrors } from './error.js';

export const IDENTITY_ERRORS = defineErrors({
  AUTHN_FAILED: {
    status: 401,
    retryable: false,
    title: 'The credentials are missing, unknown, expired or not for this platform.',
    remedy: 'Send `Authorization: Bearer <API key or JWT>`; a local start says where its keys are.',
  },
  AUTHN_UNAVAILABLE: {
    status: 503,
    retryable: true,
    title: 'The keys that verify the token cannot be fetched.',
    remedy: 'Retry with backoff; check the JWKS address in the wiring.',
  },
  AUTHZ_DENIED: {
    status: 403,
    retryable: false,
    title: 'The caller has no role that permits this.',
    remedy: 'Ask for a role that carries the permission named in the detail; roles stand in the access policy.',
  },
});
