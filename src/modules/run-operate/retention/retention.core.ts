import type { Offset } from '../../../rails/eb-ref.js';

/** Something that wants a partition kept from an offset on. */
export interface Limit {
  /** `age`, `archive`, a role, or the work that holds it: for people. */
  readonly by: string;
  /** Nothing at or behind it may go; null: unknown, so nothing at all may. */
  readonly offset: Offset | null;
}

export interface Marks {
  readonly lowWater: Offset;
  readonly highWater: Offset;
}

export interface Cut {
  /** Everything below it may go; the low-water mark where nothing may. */
  readonly to: Offset;
  /** Where age alone would cut. */
  readonly aged: Offset;
  /** Who keeps what is old enough to go, with the offset from which; empty where age alone decides. */
  readonly heldBy: readonly Limit[];
}

/**
 * The lowest of what is old enough and of everybody's limits, never below what is gone already. What nobody knows counts as everything.
 * @param aged the first offset that is young enough to stay
 */
export function cutOf({ lowWater, highWater }: Marks, aged: Offset, limits: readonly Limit[]): Cut {
  const wanted = clamp(aged, lowWater, highWater);
  const offsetOf = ({ offset }: Limit): Offset => clamp(offset ?? lowWater, lowWater, highWater);
  const to = limits.reduce<Offset>((least, limit) => (offsetOf(limit) < least ? offsetOf(limit) : least), wanted);
  const heldBy = limits
    .filter((limit) => offsetOf(limit) < wanted)
    .sort((a, b) => offsetOf(a) - offsetOf(b) || (a.by < b.by ? -1 : 1));
  return { to, aged: wanted, heldBy };
}

/** How far the low-water mark lies below the first offset that somebody still needs; 0 where somebody needs the very oldest, or is unknown. */
export function headroomOf({ lowWater, highWater }: Marks, limits: readonly Limit[]): number {
  const needed = limits.map(({ offset }) => clamp(offset ?? lowWater, lowWater, highWater));
  return Math.min(highWater, ...needed) - lowWater;
}

function clamp(offset: Offset, low: Offset, high: Offset): Offset {
  return Math.max(low, Math.min(offset, high)) as Offset;
}
