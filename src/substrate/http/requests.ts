import type { TSchema } from '@sinclair/typebox';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { isUtcMicros, parseUtc, type UtcMicros } from '../../rails/time.js';
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

/** For what is asked of a range of time. */
export const FROM = { name: 'from', required: false, description: 'not before this time (RFC 3339)' } as const;
export const TO = { name: 'to', required: false, description: 'before this time (RFC 3339)' } as const;

/** @throws HTTP_REQUEST_INVALID with the name of the parameter */
export function timeOf(text: string, name: string): UtcMicros {
  try {
    return parseUtc(text);
  } catch (cause) {
    throw new ProbityError('HTTP_REQUEST_INVALID', `${name} is no time of RFC 3339`, { cause });
  }
}

/** The place of an entry among those of its kind, which stand in the order of time and then of their keys. */
export interface TimePlace {
  readonly at: UtcMicros;
  /** Printable, without blanks. */
  readonly key: string;
}

export function timeCursor({ at, key }: TimePlace): string {
  return Buffer.from(`${at} ${key}`, 'utf8').toString('base64url');
}

/** Of pages that go towards older entries; null: from the youngest. @throws HTTP_REQUEST_INVALID */
export function timePlaceOf(cursor: string | undefined): TimePlace | null {
  if (cursor === undefined) return null;
  const [at, key, ...rest] = Buffer.from(cursor, 'base64url').toString('utf8').split(' ');
  if (isUtcMicros(at) && key !== undefined && /^[!-~]{1,300}$/.test(key) && rest.length === 0) return { at, key };
  throw new ProbityError('HTTP_REQUEST_INVALID', NO_CURSOR);
}

/** A page of such entries, towards older ones. */
export interface TimeQuery {
  readonly limit: number;
  readonly before: TimePlace | null;
  readonly from: UtcMicros | null;
  readonly to: UtcMicros | null;
}

/** @throws HTTP_REQUEST_INVALID */
export async function timePage<Row extends TimePlace>(
  { limit: limitText, cursor, from, to }: Readonly<Record<string, string | undefined>>,
  read: (query: TimeQuery) => Promise<readonly Row[]>,
): Promise<{ readonly rows: readonly Row[]; readonly next_cursor?: string }> {
  const limit = limitOf(limitText);
  const rows = await read({
    limit: limit + 1,
    before: timePlaceOf(cursor),
    from: from === undefined ? null : timeOf(from, 'from'),
    to: to === undefined ? null : timeOf(to, 'to'),
  });
  const last = rows[limit - 1];
  return {
    rows: rows.slice(0, limit),
    ...(rows.length > limit && last !== undefined ? { next_cursor: timeCursor(last) } : {}),
  };
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
