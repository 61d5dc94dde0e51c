import type { TSchema } from '@sinclair/typebox';
import { ProbityError } from '../../rails/errors/probity-error.js';
import type { Validator } from '../../rails/validator.js';

/** How many entries a page gives: what is said of it in the document of a route, and how it is read. */
export class PageLimit {
  /** For the document of the route. */
  readonly query: {
    readonly name: 'limit';
    readonly required: false;
    readonly schema: {
      readonly type: 'integer';
      readonly minimum: 1;
      readonly maximum: number;
      readonly default: number;
    };
  };

  constructor(
    private readonly max: number,
    private readonly usual = 50,
  ) {
    this.query = {
      name: 'limit',
      required: false,
      schema: { type: 'integer', minimum: 1, maximum: max, default: usual },
    };
  }

  /** @throws HTTP_REQUEST_INVALID */
  of(text = String(this.usual)): number {
    const limit = Number(text);
    if (Number.isInteger(limit) && limit >= 1 && limit <= this.max) return limit;
    throw new ProbityError('HTTP_REQUEST_INVALID', `limit is a whole number from 1 to ${this.max}`);
  }
}

const USUAL = new PageLimit(200);
export const LIMIT = USUAL.query;
export const limitOf = (text?: string): number => USUAL.of(text);

/** For pages that go on behind a number. */
export const CURSOR = { name: 'cursor', required: false, description: 'next_cursor of the page before' } as const;

const NO_CURSOR = 'cursor is the next_cursor of a page';

/** Of pages that go towards older entries; null: from the youngest. @throws HTTP_REQUEST_INVALID */
export function cursorOf(text: string | undefined): number | null {
  if (text === undefined) return null;
  if (/^[1-9][0-9]{0,15}$/.test(text)) return Number(text);
  throw new ProbityError('HTTP_REQUEST_INVALID', NO_CURSOR);
}

/** Of pages that go on behind a number; 0 is the beginning. @throws HTTP_REQUEST_INVALID */
export function cursorBehind(text = '0'): number {
  if (/^(0|[1-9][0-9]{0,14})$/.test(text)) return Number(text);
  throw new ProbityError('HTTP_REQUEST_INVALID', NO_CURSOR);
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
