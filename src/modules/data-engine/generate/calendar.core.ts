import { type UtcMicros } from '../../../rails/time.js';

export const DAY_MS = 86_400_000;
export const HOUR_MS = 3_600_000;
export const MINUTE_MS = 60_000;

/** Days since 1970-01-01 of a date like 2025-01-31, or undefined when no calendar has it. */
export function dayNumberOf(date: string): number | undefined {
  const ms = Date.parse(`${date}T00:00:00Z`);
  if (!Number.isFinite(ms) || new Date(ms).toISOString().slice(0, 10) !== date) return undefined;
  return ms / DAY_MS;
}

const two = (value: number): string => String(value).padStart(2, '0');
const three = (value: number): string => String(value).padStart(3, '0');

export interface Day {
  /** From the first day of the window, 0. */
  readonly index: number;
  /** 2025-01-31 */
  readonly date: string;
  readonly month: number;
  readonly dayOfMonth: number;
  /** From Monday, 0. */
  readonly weekday: number;
}

export interface Seasons {
  readonly weekdays: readonly number[];
  readonly months: readonly number[];
  readonly holidays: readonly { readonly month_day: string; readonly factor: number }[];
}

/** Days of the window, their factors, and times as texts. All of it in UTC: no zone of the machine takes part. */
export class Calendar {
  readonly days: number;
  readonly #first: number;
  readonly #seasons: Seasons;
  readonly #holidays: ReadonlyMap<string, number>;
  readonly #minutes: readonly string[];
  readonly #seconds: readonly string[];
  readonly #millis: readonly string[];

  constructor(startDate: string, days: number, seasons: Seasons) {
    this.days = days;
    this.#first = dayNumberOf(startDate) ?? 0;
    this.#seasons = seasons;
    this.#holidays = new Map(seasons.holidays.map(({ month_day, factor }) => [month_day, factor]));
    this.#minutes = Array.from({ length: 1_440 }, (_, m) => `T${two(Math.floor(m / 60))}:${two(m % 60)}:`);
    this.#seconds = Array.from({ length: 60 }, (_, s) => `${two(s)}.`);
    this.#millis = Array.from({ length: 1_000 }, (_, ms) => `${three(ms)}000Z`);
  }

  day(index: number): Day {
    const number = this.#first + index;
    const date = new Date(number * DAY_MS).toISOString().slice(0, 10);
    return {
      index,
      date,
      month: Number(date.slice(5, 7)),
      dayOfMonth: Number(date.slice(8, 10)),
      // 1970-01-01 was a Thursday.
      weekday: (number + 3) % 7,
    };
  }

  /** What the daily rate is multiplied by. */
  factor(day: Day): number {
    const weekday = this.#seasons.weekdays[day.weekday] ?? 1;
    const month = this.#seasons.months[day.month - 1] ?? 1;
    return weekday * month * (this.#holidays.get(day.date.slice(5)) ?? 1);
  }

  /** A moment of the day that has this date. */
  time(date: string, ms: number): UtcMicros {
    const minute = Math.floor(ms / MINUTE_MS);
    const rest = ms - minute * MINUTE_MS;
    const second = Math.floor(rest / 1_000);
    const text =
      date +
      (this.#minutes[minute] ?? '') +
      (this.#seconds[second] ?? '') +
      (this.#millis[rest - second * 1_000] ?? '');
    return text as UtcMicros;
  }

  /** A moment by milliseconds from the beginning of the window; it may lie behind the window's end. */
  moment(msOfWindow: number): UtcMicros {
    const index = Math.floor(msOfWindow / DAY_MS);
    const date = new Date((this.#first + index) * DAY_MS).toISOString().slice(0, 10);
    return this.time(date, msOfWindow - index * DAY_MS);
  }
}
