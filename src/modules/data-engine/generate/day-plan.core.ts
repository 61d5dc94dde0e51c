import { HOUR_PROFILES, type HourProfile } from './categories.js';
import { DAY_MS, HOUR_MS, MINUTE_MS } from './calendar.core.js';
import { cumulative, pick } from './exact-math.core.js';

/** Rows of a day: 2^26. With the millisecond of the day, below 2^27, a sort key is exact in a double. */
const ROWS_MAX = 67_108_864;

/**
 * Which payments a day has, and when, before any of them is written: four numbers each. Sorting these and writing the rows
 * one by one in their order is what keeps memory to some thirty bytes per payment of a single day.
 */
export class DayPlan {
  #size = 0;
  #keys = new Float64Array(4_096);
  #source = new Uint8Array(4_096);
  #who = new Int32Array(4_096);
  #step = new Int32Array(4_096);
  #purpose = new Uint8Array(4_096);

  get size(): number {
    return this.#size;
  }

  clear(): void {
    this.#size = 0;
  }

  /**
   * @param ms of the day, whole
   * @param source who writes the row: 0 the customers' habits, or the number of a process of fraud
   * @param who customer, or place of the instance among the active ones
   * @param step the row's number within the day of `who`, or within the instance
   */
  add(ms: number, source: number, who: number, step: number, purpose: number): void {
    const at = this.#size;
    if (at === this.#keys.length) this.#grow();
    this.#keys[at] = ms * ROWS_MAX + at;
    this.#source[at] = source;
    this.#who[at] = who;
    this.#step[at] = step;
    this.#purpose[at] = purpose;
    this.#size = at + 1;
  }

  /** Puts the rows into the order of time; of equal times in the order in which they were added. */
  sort(): void {
    this.#keys.subarray(0, this.#size).sort();
  }

  /** Millisecond of the row at a place of the sorted plan. */
  ms(place: number): number {
    return Math.floor((this.#keys[place] ?? 0) / ROWS_MAX);
  }
  /** Which of the added rows stands at that place. */
  row(place: number): number {
    return (this.#keys[place] ?? 0) % ROWS_MAX;
  }
  source(row: number): number {
    return this.#source[row] ?? 0;
  }
  who(row: number): number {
    return this.#who[row] ?? 0;
  }
  step(row: number): number {
    return this.#step[row] ?? 0;
  }
  purpose(row: number): number {
    return this.#purpose[row] ?? 0;
  }

  #grow(): void {
    const length = this.#keys.length * 2;
    const grown = <Column extends Float64Array | Int32Array | Uint8Array>(to: Column, from: Column): Column => {
      to.set(from);
      return to;
    };
    this.#keys = grown(new Float64Array(length), this.#keys);
    this.#source = grown(new Uint8Array(length), this.#source);
    this.#who = grown(new Int32Array(length), this.#who);
    this.#step = grown(new Int32Array(length), this.#step);
    this.#purpose = grown(new Uint8Array(length), this.#purpose);
  }
}

/** Hours of the day by kind of payment. */
export class Hours {
  readonly #sums: Readonly<Record<HourProfile, Float64Array>> = {
    shop: cumulative(HOUR_PROFILES.shop),
    meal: cumulative(HOUR_PROFILES.meal),
    home: cumulative(HOUR_PROFILES.home),
    move: cumulative(HOUR_PROFILES.move),
  };

  /**
   * A millisecond of the UTC day. The hour is drawn in local time and turned around the clock by the offset, so that every
   * payment stays within its UTC day.
   */
  ms(profile: HourProfile, hourShare: number, withinShare: number, utcOffsetMinutes: number): number {
    const local = pick(this.#sums[profile], hourShare) * HOUR_MS + Math.floor(withinShare * HOUR_MS);
    return (local - utcOffsetMinutes * MINUTE_MS + DAY_MS) % DAY_MS;
  }
}
