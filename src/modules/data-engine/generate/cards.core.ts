/** Which card is in use: a number per customer, slot and generation. */
const SLOTS = 2;
const GENERATIONS = 128;

/**
 * The cards in use, and when they are replaced. What leads to a new card is a report, so the bank's own knowledge and never
 * the truth behind it: a false claim costs a card, an unnoticed theft does not.
 */
export class Cards {
  readonly #generation: Uint8Array;
  /** By day: customers times 2 plus slot. Holds no more than the reports of the days that a report may take. */
  readonly #due = new Map<number, number[]>();

  constructor(customers: number) {
    this.#generation = new Uint8Array(customers * SLOTS);
  }

  /** Brings the new cards of this day into use. */
  begin(day: number): void {
    const due = this.#due.get(day);
    if (due === undefined) return;
    this.#due.delete(day);
    // Reports of one day about one card lead to one new card.
    for (const at of new Set(due)) this.#generation[at] = Math.min((this.#generation[at] ?? 0) + 1, GENERATIONS - 1);
  }

  replace(customer: number, slot: number, day: number): void {
    const at = customer * SLOTS + slot;
    // Customers that a ring made up keep their cards: nobody of them complains.
    if (at >= this.#generation.length) return;
    const due = this.#due.get(day);
    if (due === undefined) this.#due.set(day, [at]);
    else due.push(at);
  }

  /** Number of the card in use. */
  card(customer: number, slot: number): number {
    return customer * 256 + slot * GENERATIONS + (this.#generation[customer * SLOTS + slot] ?? 0);
  }
}
