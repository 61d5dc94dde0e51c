import type { FieldName } from './definition.schema.js';
import type { EventTable, Slot } from './event-table.js';

/**
 * The events of one key in their own order (time, then id), whatever the order in which they arrived (law R11), with running sums beside
 * them. Events come nearly in order, so an insertion is nearly always an append.
 *
 * `sums[p]` is the sum of what stands before position p, from some start; the sum over a stretch is a difference of two.
 * Running sums are exact as long as they stay below 2^53. Past that they begin anew at the oldest event that is still held; when
 * that does not help, the log says so, and whoever sums walks the stretch with big integers.
 */
export class KeyLog {
  readonly #table: EventTable;
  readonly #fields: readonly FieldName[];
  readonly #slots: Slot[] = [];
  readonly #sums: readonly number[][];
  /** Position of the oldest event that is still held; what lies before it is cut off now and then. */
  #head = 0;
  #sumsAreExact = true;

  constructor(table: EventTable, sums: readonly FieldName[]) {
    this.#table = table;
    this.#fields = sums;
    this.#sums = sums.map(() => [0]);
  }

  get start(): number {
    return this.#head;
  }

  get end(): number {
    return this.#slots.length;
  }

  /** A copy of what it holds, for whoever walks over it while it goes on. */
  slots(): readonly Slot[] {
    return this.#slots.slice(this.#head);
  }

  at(position: number): Slot {
    return this.#slots[position] ?? -1;
  }

  insert(slot: Slot): void {
    const position = this.positionOf(this.#table.tsOf(slot), this.#table.idOf(slot));
    if (position === this.#slots.length) this.#slots.push(slot);
    else this.#slots.splice(position, 0, slot);
    if (this.#sumsAreExact) this.#sumFrom(position);
  }

  /** Where an event of this time and id stands or would stand: how many positions lie before it. */
  positionOf(ts: number, id: string): number {
    let low = this.#head;
    let high = this.#slots.length;
    // The newest first: nearly everything happens at the end.
    if (high > low && this.#table.isBefore(this.at(high - 1), ts, id)) return high;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#table.isBefore(this.at(middle), ts, id)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The first position whose event is at `ts` or later. */
  positionFrom(ts: number): number {
    return this.positionOf(ts, '');
  }

  /** Exact; null when the running sums are not, and the stretch is to be walked. */
  sum(field: FieldName, from: number, to: number): number | null {
    const sums = this.#sums[this.#fields.indexOf(field)];
    if (sums === undefined || !this.#sumsAreExact) return null;
    return (sums[to] ?? 0) - (sums[from] ?? 0);
  }

  /** Lets go of what lies before `ts`. */
  dropBefore(ts: number, dropped: (slot: Slot) => void): void {
    const to = this.positionFrom(ts);
    for (let position = this.#head; position < to; position += 1) dropped(this.at(position));
    this.#head = to;
    // Half of the array at a time, so that each event is moved once on average.
    if (this.#head < 32 || this.#head * 2 < this.#slots.length) return;
    this.#slots.splice(0, this.#head);
    for (const sums of this.#sums) sums.splice(0, this.#head);
    this.#head = 0;
    if (!this.#sumsAreExact) this.#sumAnew();
  }

  /** After an insertion at this position. */
  #sumFrom(position: number): void {
    const exact = this.#fields.every((field, index) => this.#sum(this.#sums[index] ?? [], field, position));
    if (!exact) this.#sumAnew();
  }

  #sumAnew(): void {
    this.#sumsAreExact = this.#fields.every((field, index) => {
      const sums = this.#sums[index] ?? [];
      sums.length = this.#slots.length + 1;
      sums.fill(0, 0, this.#head + 1);
      return this.#sum(sums, field, this.#head);
    });
  }

  /** @returns whether every running sum stayed exact */
  #sum(sums: number[], field: FieldName, position: number): boolean {
    let sum = sums[position] ?? 0;
    let exact = true;
    for (let at = position; at < this.#slots.length; at += 1) {
      sum += this.#table.numberOf(this.at(at), field);
      exact &&= Number.isSafeInteger(sum);
      sums[at + 1] = sum;
    }
    return exact;
  }
}
