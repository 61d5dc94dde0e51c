import type { TSchema } from '@sinclair/typebox';
import { ProbityError } from '../../rails/errors/probity-error.js';
import type { Validator } from '../../rails/validator.js';

/** The most that one page gives. */
export const LIMIT_MAX = 200;

/** For the documents of routes that give pages. */
export const LIMIT = {
  name: 'limit',
  required: false,
  schema: { type: 'integer', minimum: 1, maximum: LIMIT_MAX, default: 50 },
} as const;

/** @throws HTTP_REQUEST_INVALID */
export function limitOf(text = '50'): number {
  const limit = Number(text);
  if (Number.isInteger(limit) && limit >= 1 && limit <= LIMIT_MAX) return limit;
  throw new ProbityError('HTTP_REQUEST_INVALID', `limit is a whole number from 1 to ${LIMIT_MAX}`);
}

/** The body of a request, checked. @throws HTTP_REQUEST_INVALID with the place */
export function demandBody<Value>(validator: Validator<Value>, body: unknown): Value {
  const verdict = validator.check(body);
  if (verdict.ok) return verdict.value;
  const { at, says } = verdict.fault;
  throw new ProbityError('HTTP_REQUEST_INVALID', `${at === '' ? 'the body' : at} ${says}`);
}

/** A schema as OpenAPI takes it: through JSON, since the builder keeps its own marks under symbols. */
export function documented(schema: TSchema): object {
  return JSON.parse(JSON.stringify(schema)) as object;
}
