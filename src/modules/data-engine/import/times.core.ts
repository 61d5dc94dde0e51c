import { ProbityError } from '../../../rails/errors/probity-error.js';
import type { UtcMicros } from '../../../rails/time.js';
import { formOf, RowFault } from './row-fault.core.js';
import type { OffsetsOf } from './local-times.core.js';

/** What a time format leaves of a text. */
interface Fields {
  year: number;
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
  micros: number;
  /** Minutes east of UTC; undefined where the text carries none. */
  offset: number | undefined;
}

const DAY_MS = 86_400_000;
const MICROS_DIGITS = 6;
const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];

const ISO =
  /^(\d{4})-(\d{2})-(\d{2})(?:[Tt ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?)? ?(?:([Zz])|([+-])(\d{2}):?(\d{2})?)?$/;

/**
 * A reader of times as they are written in one file. The text's own offset decides where it has one; otherwise the zone does:
 * a local time that the zone skips is refused, one that it has twice is what `ambiguous` says. Nothing is rounded: a time that is finer
 * than a microsecond is refused.
 *
 * @param localToUtc the zone's answer for a local time, in milliseconds as if it were UTC
 * @throws ProbityError ENGINE_MAPPING_INVALID for a pattern that says nothing or too much
 */
export function timeReader(format: string, localToUtc: OffsetsOf): (text: string) => UtcMicros | RowFault {
  if (format === 'epoch_s' || format === 'epoch_ms') return epochReader(format === 'epoch_s' ? 6 : 3);
  const read = format === 'iso' ? readIso : patternReader(format);
  const days = new DayTexts();

  return (text) => {
    const fields = read(text);
    if (fields === null) return invalid(text, format === 'iso' ? 'is not ISO 8601' : `is not of the form ${format}`);
    const { year, month, day, hour, minute, second, micros, offset } = fields;
    if (year < 1900 || year > 2199) return invalid(text, 'is not within the years 1900 to 2199');
    if (month < 1 || month > 12 || day < 1 || day > daysIn(year, month))
      return invalid(text, 'is a day of no calendar');
    if (hour > 23 || minute > 59 || second > 59) return invalid(text, 'is a time of no day');
    if (micros < 0) return invalid(text, 'is finer than a microsecond');
    const localMs = days.startOf(year, month, day) + ((hour * 60 + minute) * 60 + second) * 1000;
    const utcMs = offset === undefined ? localToUtc(localMs) : localMs - offset * 60_000;
    if (utcMs === 'nonexistent') {
      return new RowFault(
        'TIME_NONEXISTENT',
        `the local time ${formOf(text)} does not exist: clocks were put forward over it`,
      );
    }
    if (utcMs === 'ambiguous') {
      return new RowFault('TIME_INVALID', `the local time ${formOf(text)} exists twice: clocks were put back over it`);
    }
    return days.text(utcMs, micros) ?? invalid(text, 'is not within the years 1900 to 2199');
  };
}

function readIso(text: string): Fields | null {
  const match = ISO.exec(text);
  if (match === null) return null;
  const [, year, month, day, hour = '0', minute = '0', second = '0', fraction = '', zulu, sign, oh, om = '0'] = match;
  return {
    year: Number(year),
    month: Number(month),
    day: Number(day),
    hour: Number(hour),
    minute: Number(minute),
    second: Number(second),
    micros: microsOf(fraction),
    offset: zulu === undefined ? offsetOf(sign, oh, om) : 0,
  };
}

function offsetOf(sign: string | undefined, hours: string | undefined, minutes: string): number | undefined {
  if (sign === undefined) return undefined;
  return (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes));
}

/** −1 when a digit beyond the microseconds says something. */
function microsOf(fraction: string): number {
  if (fraction === '') return 0;
  if (fraction.length > MICROS_DIGITS && /[1-9]/.test(fraction.slice(MICROS_DIGITS))) return -1;
  return Number(fraction.slice(0, MICROS_DIGITS).padEnd(MICROS_DIGITS, '0'));
}

type FieldName =
  'year' | 'month' | 'monthName' | 'day' | 'hour' | 'hour12' | 'half' | 'minute' | 'second' | 'fraction' | 'offset';

/** Each letter run of a pattern: what it reads, and which texts. */
const TOKENS: Readonly<Record<string, readonly [FieldName, string]>> = {
  yyyy: ['year', '[0-9]{4}'],
  M: ['month', '[0-9]{1,2}'],
  MM: ['month', '[0-9]{2}'],
  MMM: ['monthName', '[A-Za-z]{3}'],
  d: ['day', '[0-9]{1,2}'],
  dd: ['day', '[0-9]{2}'],
  H: ['hour', '[0-9]{1,2}'],
  HH: ['hour', '[0-9]{2}'],
  h: ['hour12', '[0-9]{1,2}'],
  hh: ['hour12', '[0-9]{2}'],
  a: ['half', '[AaPp][Mm]'],
  m: ['minute', '[0-9]{1,2}'],
  mm: ['minute', '[0-9]{2}'],
  s: ['second', '[0-9]{1,2}'],
  ss: ['second', '[0-9]{2}'],
  Z: ['offset', 'Z|[+-][0-9]{2}:?[0-9]{2}'],
};

function patternReader(pattern: string): (text: string) => Fields | null {
  const names: FieldName[] = [];
  const source = pattern.replace(/'([^']*)'|S+|([A-Za-z])\2*|[^A-Za-z]/g, (piece, quoted: string | undefined) => {
    if (quoted !== undefined) return escaped(quoted);
    if (!/[A-Za-z]/.test(piece)) return escaped(piece);
    const [name, form] = piece.startsWith('S')
      ? (['fraction', `[0-9]{${piece.length}}`] as const)
      : tokenOf(piece, pattern);
    if (names.includes(name)) throw mappingFault(`the time format ${pattern} has ${piece} twice`);
    names.push(name);
    return `(${form})`;
  });
  for (const [needed, other] of [['year'], ['month', 'monthName'], ['day']] as const) {
    if (!names.includes(needed) && (other === undefined || !names.includes(other))) {
      throw mappingFault(`the time format ${pattern} has no ${needed}`);
    }
  }
  if (names.includes('hour12') !== names.includes('half'))
    throw mappingFault(`the time format ${pattern} has h without a, or a without h`);
  if (names.includes('hour12') && names.includes('hour'))
    throw mappingFault(`the time format ${pattern} has both H and h`);
  const form = new RegExp(`^${source}$`);

  return (text) => {
    const match = form.exec(text);
    if (match === null) return null;
    const fields: Fields = { year: 0, month: 0, day: 0, hour: 0, minute: 0, second: 0, micros: 0, offset: undefined };
    for (let i = 0; i < names.length; i += 1) {
      const name = names[i];
      if (name !== undefined) put(fields, name, match[i + 1] ?? '');
    }
    return fields;
  };
}

function put(fields: Fields, name: FieldName, text: string): void {
  switch (name) {
    case 'monthName':
      fields.month = MONTHS.indexOf(text.toLowerCase()) + 1;
      return;
    case 'fraction':
      fields.micros = microsOf(text);
      return;
    case 'hour12':
      // 99 is no hour: what is refused later. Noon and midnight are 12, before the half is added.
      fields.hour += Number(text) > 12 || Number(text) === 0 ? 99 : Number(text) % 12;
      return;
    case 'half':
      if (/^p/i.test(text)) fields.hour += 12;
      return;
    case 'offset':
      fields.offset = text === 'Z' ? 0 : offsetOf(text[0], text.slice(1, 3), text.slice(-2));
      return;
    case 'year':
    case 'month':
    case 'day':
    case 'hour':
    case 'minute':
    case 'second':
      fields[name] = Number(text);
  }
}

function tokenOf(piece: string, pattern: string): readonly [FieldName, string] {
  const token = TOKENS[piece];
  if (token === undefined) {
    throw mappingFault(
      `the time format ${pattern} has ${piece}, which means nothing here; put literal letters into single quotes`,
    );
  }
  return token;
}

const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');

/** Seconds or milliseconds since 1970 as decimal text, exact to the microsecond. */
function epochReader(shift: number): (text: string) => UtcMicros | RowFault {
  const days = new DayTexts();
  return (text) => {
    const match = /^(-?)([0-9]{1,13})(?:[.]([0-9]+))?$/.exec(text);
    if (match === null) return invalid(text, 'is not a number since 1970');
    const [, sign = '', whole = '', fraction = ''] = match;
    if (/[1-9]/.test(fraction.slice(shift))) return invalid(text, 'is finer than a microsecond');
    const micros = Number(`${sign}${whole}${fraction.slice(0, shift).padEnd(shift, '0')}`);
    if (!Number.isSafeInteger(micros)) return invalid(text, 'is not within the years 1900 to 2199');
    const rest = ((micros % 1_000_000) + 1_000_000) % 1_000_000;
    return days.text((micros - rest) / 1000, rest) ?? invalid(text, 'is not within the years 1900 to 2199');
  };
}

/** Days as texts and as milliseconds, each worked out once: a file has far fewer days than rows. */
class DayTexts {
  readonly #starts = new Map<number, number>();
  readonly #texts = new Map<number, string>();

  /** Milliseconds of the day's first moment, as if it were UTC. */
  startOf(year: number, month: number, day: number): number {
    const name = (year * 100 + month) * 100 + day;
    let start = this.#starts.get(name);
    if (start === undefined) {
      start = Date.UTC(year, month - 1, day);
      this.#starts.set(name, start);
    }
    return start;
  }

  /** The platform's text; null outside its years. `utcMs` is a whole second, `micros` what lies between it and the moment. */
  text(utcMs: number, micros: number): UtcMicros | null {
    const day = Math.floor(utcMs / DAY_MS);
    let date = this.#texts.get(day);
    if (date === undefined) {
      const iso = new Date(day * DAY_MS).toISOString();
      date = iso >= '1900' && iso < '2200' ? iso.slice(0, 11) : '';
      this.#texts.set(day, date);
    }
    if (date === '') return null;
    const seconds = (utcMs - day * DAY_MS) / 1000;
    const minutes = Math.floor(seconds / 60);
    const fraction = micros === 0 ? '000000' : String(micros).padStart(MICROS_DIGITS, '0');
    return `${date}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}:${two(seconds % 60)}.${fraction}Z` as UtcMicros;
  }
}

function two(value: number): string {
  return value < 10 ? `0${value}` : String(value);
}

function daysIn(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

function invalid(text: string, says: string): RowFault {
  return new RowFault('TIME_INVALID', `the time ${formOf(text)} ${says}`);
}

function mappingFault(detail: string): ProbityError {
  return new ProbityError('ENGINE_MAPPING_INVALID', detail, { data: { at: '/time/format' } });
}
