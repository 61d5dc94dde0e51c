import type { JsonObject } from '../../../rails/canonical-json.js';
import { fromEpochMicros, toEpochMicros, type UtcMicros } from '../../../rails/time.js';

const DAY_S = 86_400;

/** Seconds of an ISO 8601 duration without months and years, whose length depends on the calendar. */
export function durationSeconds(text: string): number {
  const match = /^P(?:(\d+)W|(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?)$/.exec(text);
  if (match === null) throw new RangeError(`${text} is not a duration of weeks, days, hours, minutes and seconds`);
  const [weeks, days, hours, minutes, seconds] = match
    .slice(1)
    .map((digits: string | undefined) => Number(digits ?? 0));
  return (((weeks ?? 0) * 7 + (days ?? 0)) * 24 + (hours ?? 0)) * 3_600 + (minutes ?? 0) * 60 + (seconds ?? 0);
}

/** Moves times by one fixed duration. Whole days are looked up by the date: a file has far fewer of them than rows. */
export function mover(seconds: number): (time: UtcMicros) => UtcMicros {
  if (seconds === 0) return (time) => time;
  const move = (time: UtcMicros): UtcMicros => fromEpochMicros(toEpochMicros(time) + seconds * 1_000_000);
  if (seconds % DAY_S !== 0) return move;
  const dates = new Map<string, string>();
  return (time) => {
    const date = time.slice(0, 10);
    let moved = dates.get(date);
    if (moved === undefined) {
      moved = move(`${date}T00:00:00.000000Z` as UtcMicros).slice(0, 10);
      dates.set(date, moved);
    }
    return `${moved}${time.slice(10)}` as UtcMicros;
  };
}

/** What a label says, its members in canonical order. Two literals, since a spread costs more than all the rest of a label. */
export function labelFieldsOf(
  transactionId: string,
  effectiveAt: UtcMicros,
  isFraud: boolean,
  kind?: string,
): JsonObject {
  if (kind === undefined) return { effective_at_utc: effectiveAt, is_fraud: isFraud, transaction_id: transactionId };
  return { effective_at_utc: effectiveAt, fraud_kind: kind, is_fraud: isFraud, transaction_id: transactionId };
}
