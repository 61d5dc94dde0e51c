import { BUS_ERRORS } from './bus.errors.js';
import { CONFIG_ERRORS } from './config.errors.js';
import { DATABASE_ERRORS } from './database.errors.js';
import type { ErrorSpec } from './error.js';
import { HTTP_ERRORS } from './http.errors.js';
import { IDENTITY_ERRORS } from './identity.errors.js';
import { OBJECTS_ERRORS } from './objects.errors.js';
import { RAILS_ERRORS } from './rails.errors.js';
import { RPC_ERRORS } from './rpc.errors.js';

/** Every code of the platform; docs/errors.md is generated from it. */
export const ERRORS = {
  ...BUS_ERRORS,
  ...CONFIG_ERRORS,
  ...DATABASE_ERRORS,
  ...HTTP_ERRORS,
  ...IDENTITY_ERRORS,
  ...OBJECTS_ERRORS,
  ...RAILS_ERRORS,
  ...RPC_ERRORS,
} as const satisfies Readonly<Record<string, ErrorSpec>>;

export type ErrorCode = keyof typeof ERRORS;

export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code);
}

export function errorSpec(code: ErrorCode): ErrorSpec {
  return ERRORS[code];
}
