/** UTC milliseconds of a local time given in milliseconds as if it were UTC, or why there is no one answer. */
export type OffsetsOf = (localMs: number) => number | 'nonexistent' | 'ambiguous';

export type Ambiguous = 'earlier' | 'later' | 'reject';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Days and hours that are remembered: thirty years of both fit. */
const REMEMBERED_MAX = 300_000;

export const utc: OffsetsOf = (localMs) => localMs;

/**
 * Local times of one zone. A zone library takes some microseconds for a question, so an offset is asked for once per local
 * day; on a day on which clocks change once per hour, and within the hour that is skipped or comes twice for each time.
 *
 * @param offsetAt milliseconds east of UTC at a moment
 */
export function localTimes(offsetAt: (utcMs: number) => number, ambiguous: Ambiguous): OffsetsOf {
  const days = new Map<number, number | null>();
  const hours = new Map<number, number | null>();

  /** The moments that a local clock showed this time at: none, one or two, the earlier first. */
  const moments = (localMs: number): readonly number[] => {
    // A zone is at most 14 hours off, so that these two are before and after any change that matters.
    const around = [offsetAt(localMs - 1.5 * DAY_MS), offsetAt(localMs + 1.5 * DAY_MS), offsetAt(localMs)];
    const candidates = [...new Set(around)].map((offset) => localMs - offset);
    return candidates.filter((utcMs) => utcMs + offsetAt(utcMs) === localMs).sort((a, b) => a - b);
  };

  /** The one offset of a whole stretch of local time; null where it is not one. */
  const offsetOf = (seen: Map<number, number | null>, stretchMs: number, localMs: number): number | null => {
    const number = Math.floor(localMs / stretchMs);
    const known = seen.get(number);
    if (known !== undefined) return known;
    const start = number * stretchMs;
    const [first, last] = [moments(start), moments(start + stretchMs - 1)];
    const [from, to] = [first[0], last[0]];
    const whole =
      first.length === 1 && last.length === 1 && from !== undefined && to !== undefined && to - from === stretchMs - 1;
    const offset = whole ? start - from : null;
    if (seen.size >= REMEMBERED_MAX) seen.clear();
    seen.set(number, offset);
    return offset;
  };

  return (localMs) => {
    const offset = offsetOf(days, DAY_MS, localMs) ?? offsetOf(hours, HOUR_MS, localMs);
    if (offset !== null) return localMs - offset;
    const [earlier, later] = moments(localMs);
    if (earlier === undefined) return 'nonexistent';
    if (later === undefined) return earlier;
    if (ambiguous === 'reject') return 'ambiguous';
    return ambiguous === 'later' ? later : earlier;
  };
}
