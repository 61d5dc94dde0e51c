import { type Brand } from './brand.js';
import { ProbityError } from './errors/probity-error.js';
import { brandedText } from './schema.js';

/**
 * A moment as text in the one normal form of the platform: RFC 3339, UTC, exactly six digits of fraction,
 * `2018-04-01T00:00:31.000000Z`. One text per moment, so that equal moments have equal digests and the order of the
 * texts is the order of time.
 *
 * Years 1900 to 2199. The arithmetic: microseconds since 1970 must be an exact JavaScript number, which ends at
 * 2^53 = 9.007·10^15 µs, in the year 2255; whole centuries below that are easier to remember and to write as a pattern.
 * The sentinels 0001-01-01 and 9999-12-31 fall outside on purpose: an unknown time is absent, never far away.
 */
export type UtcMicros = Brand<string, 'UtcMicros'>;

/** Microseconds since 1970-01-01T00:00:00Z, POSIX reckoning (every day has 86,400 s); negative before. Always exact. */
export type EpochMicros = Brand<number, 'EpochMicros'>;

const NORMAL =
  '^(19|20|21)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9][.][0-9]{6}Z$';
const NORMAL_FORM = new RegExp(NORMAL);

const RFC_3339 = /^(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?(?:([Zz])|([+-])(\d{2}):(\d{2}))$/;

export const UtcMicrosSchema = brandedText<UtcMicros>({
  pattern: NORMAL,
  format: 'date-time',
  description: 'RFC 3339 in UTC with exactly six digits of fraction, years 1900 to 2199',
});

const MICROS_MIN = Date.UTC(1900, 0, 1) * 1000;
const MICROS_MAX = Date.UTC(2200, 0, 1) * 1000 - 1;

export function isUtcMicros(value: unknown): value is UtcMicros {
  if (typeof value !== 'string' || !NORMAL_FORM.test(value)) return false;
  return Number(value.slice(8, 10)) <= daysInMonth(Number(value.slice(0, 4)), Number(value.slice(5, 7)));
}

/** @throws ProbityError VALUE_INVALID when the text is not in the normal form; see `parseUtc` for other RFC 3339 */
export function asUtcMicros(value: string): UtcMicros {
  if (!isUtcMicros(value)) throw invalid('a time is RFC 3339 in UTC with six digits of fraction, years 1900 to 2199');
  return value;
}

/**
 * The normal form of any RFC 3339 date-time with `Z` or an offset (`-00:00` counts as UTC).
 *
 * @throws ProbityError VALUE_INVALID for what is not RFC 3339, for a date that no calendar has, for years outside 1900
 * to 2199, for a leap second (`:60` has no microseconds since 1970 of its own; rounding it would give two moments one
 * time) and for a digit other than 0 beyond the microseconds (cutting it would make two different times equal).
 */
export function parseUtc(text: string): UtcMicros {
  const match = RFC_3339.exec(text);
  if (match === null) throw invalid('the time is not an RFC 3339 date-time with Z or an offset');
  const [, year, month, day, hour, minute, second, fraction = '', , sign, offsetHour = '0', offsetMinute = '0'] = match;
  const [y, mo, d] = [Number(year), Number(month), Number(day)];
  const [h, mi, s] = [Number(hour), Number(minute), Number(second)];

  if (mo < 1 || mo > 12 || d < 1 || d > daysInMonth(y, mo)) throw invalid('the calendar has no such date');
  if (h > 23 || mi > 59) throw invalid('the day has no such hour and minute');
  if (s === 60) throw invalid('a leap second has no microseconds of its own; send the second before or after it');
  if (s > 60 || Number(offsetHour) > 23 || Number(offsetMinute) > 59) throw invalid('the time is out of range');
  if (/[1-9]/.test(fraction.slice(6))) throw invalid('the time is finer than a microsecond');

  const offsetMinutes = (sign === '-' ? -1 : 1) * (Number(offsetHour) * 60 + Number(offsetMinute));
  const instant = new Date(0);
  // setUTCFullYear, not Date.UTC: the latter reads the years 0 to 99 as 1900 to 1999.
  instant.setUTCFullYear(y, mo - 1, d);
  instant.setUTCHours(h, mi - offsetMinutes, s, 0);
  return fromEpochMicros(instant.getTime() * 1000 + Number(fraction.slice(0, 6).padEnd(6, '0')));
}

export function toEpochMicros(time: UtcMicros): EpochMicros {
  // `Date.parse` stops at milliseconds, so the last three digits are added by hand.
  return (Date.parse(`${time.slice(0, 23)}Z`) * 1000 + Number(time.slice(23, 26))) as EpochMicros;
}

/** @throws ProbityError VALUE_INVALID unless it is a whole number within the years 1900 to 2199 */
export function fromEpochMicros(micros: number): UtcMicros {
  if (!Number.isInteger(micros) || micros < MICROS_MIN || micros > MICROS_MAX) {
    throw invalid('the time is not a whole number of microseconds within the years 1900 to 2199');
  }
  // The remainder is made positive first: before 1970 it would be negative and the division would round towards 1970.
  const rest = ((micros % 1000) + 1000) % 1000;
  const millis = new Date((micros - rest) / 1000).toISOString();
  return `${millis.slice(0, 23)}${String(rest).padStart(3, '0')}Z` as UtcMicros;
}

/** From a clock's milliseconds, fractions of a microsecond cut off: a stamp never lies ahead of its clock. */
export function fromEpochMs(ms: number): UtcMicros {
  return fromEpochMicros(Math.floor(ms * 1000));
}

/** The order of time: negative when `a` is earlier, 0 when they are the same moment. */
export function compareUtc(a: UtcMicros, b: UtcMicros): -1 | 0 | 1 {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function daysInMonth(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

function invalid(detail: string): ProbityError {
  return new ProbityError('VALUE_INVALID', detail);
}
