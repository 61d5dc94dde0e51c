import pg from 'pg';
import { ProbityError } from '../../rails/errors/probity-error.js';

/**
 * How values leave the database. The driver's own ways lose data for us: it makes a `Date` of a timestamp, which cuts
 * microseconds off (two events of one millisecond would tie), reads `date` and `timestamp` in the machine's zone, and
 * hands out every int8 as a string.
 *
 * | column | becomes |
 * | --- | --- |
 * | int8 | number; beyond 2^53 the statement fails instead of rounding: cast to text and use BigInt |
 * | timestamptz | RFC 3339 in UTC with six digits: `2026-01-02T03:04:05.000006Z` |
 * | timestamp, date, numeric | the server's text |
 * | json, jsonb | parsed |
 * | bytea | Buffer |
 */
const INT8 = 20;
const INT8_ARRAY = 1016;
const DATE = 1082;
const DATE_ARRAY = 1182;
const TIMESTAMP = 1114;
const TIMESTAMP_ARRAY = 1115;
const TIMESTAMPTZ = 1184;
const TIMESTAMPTZ_ARRAY = 1185;

/** @throws ProbityError DATABASE_STATEMENT_INVALID beyond Number.MAX_SAFE_INTEGER */
export function parseInt8(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) {
    throw new ProbityError(
      'DATABASE_STATEMENT_INVALID',
      'a whole number beyond 2^53 left the database as int8; cast it to text in the statement',
    );
  }
  return value;
}

const UTC_TIMESTAMP = /^(\d{4,}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?\+00$/;

/** Connections run with TimeZone=UTC and DateStyle=ISO, so every finite timestamp of our era ends in +00. */
export function parseTimestamptz(text: string): string {
  const parts = UTC_TIMESTAMP.exec(text);
  // infinity, -infinity and years BC have no RFC 3339 form; the server's own words stay.
  if (parts === null) return text;
  return `${parts[1] ?? ''}T${parts[2] ?? ''}.${(parts[3] ?? '').padEnd(6, '0')}Z`;
}

const asText = (text: string): string => text;

/**
 * A flat array of numbers or times: their text has neither comma nor brace nor backslash, so splitting is exact.
 * Nested arrays of them stay text.
 */
function arrayOf(parse: (text: string) => unknown): (text: string) => unknown {
  return (text) => {
    if (!text.startsWith('{') || text.startsWith('{{')) return text;
    const inner = text.slice(1, -1);
    if (inner === '') return [];
    return inner.split(',').map((element) => (element === 'NULL' ? null : parse(element.replaceAll('"', ''))));
  };
}

const TEXT_PARSERS: ReadonlyMap<number, (text: string) => unknown> = new Map<number, (text: string) => unknown>([
  [INT8, parseInt8],
  [INT8_ARRAY, arrayOf(parseInt8)],
  [TIMESTAMPTZ, parseTimestamptz],
  [TIMESTAMPTZ_ARRAY, arrayOf(parseTimestamptz)],
  [TIMESTAMP, asText],
  [TIMESTAMP_ARRAY, arrayOf(asText)],
  [DATE, asText],
  [DATE_ARRAY, arrayOf(asText)],
]);

/** The parsers of one connection; the driver's global table stays as it is (law: no process globals). */
export const PG_TYPES: pg.CustomTypesConfig = {
  getTypeParser(
    oid: Parameters<typeof pg.types.getTypeParser>[0],
    format?: 'text' | 'binary',
  ): (text: string) => unknown {
    const own = format === 'binary' ? undefined : TEXT_PARSERS.get(oid);
    return own ?? (pg.types.getTypeParser(oid, format ?? 'text') as (text: string) => unknown);
  },
};
