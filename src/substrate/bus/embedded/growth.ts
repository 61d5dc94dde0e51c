import type { OutgoingRecord } from '../bus.port.js';
import type { Fetched } from './log.js';

/** What became of a look at a partition. */
export interface Look {
  /** @param position where the reader stands after it */
  found(fetched: Fetched, position: number): void;
  failed(): void;
}

/**
 * Whether a partition may hold more than one of its readers has seen. What this process appended is at hand, and ends where the process's own
 * knowledge of the log ends; so whoever was told of an append of somebody else, or of some append, is not done before the database itself has
 * said that there is no more.
 */
export class Growth {
  #grown = true;
  /** By records that are perhaps not at hand. */
  #elsewhere = true;

  /** There may be records past the position. */
  get due(): boolean {
    return this.#grown;
  }

  /** @param records by which it grew; undefined where nobody knows */
  rung(records: readonly OutgoingRecord[] | undefined): void {
    this.#grown = true;
    if (records === undefined) this.#elsewhere = true;
  }

  /** Begins a look. What is told of during it is news again. */
  look(): Look {
    const elsewhere = this.#elsewhere;
    this.#grown = false;
    this.#elsewhere = false;
    return {
      found: ({ atHand, marks }, position) => {
        const isEnd = position === marks.highWater;
        // Only the database says that this is all; what it knew of and did not give yet is news from elsewhere still.
        if (atHand ? elsewhere : !isEnd) this.rung(undefined);
        else if (!isEnd) this.#grown = true;
      },
      failed: () => {
        this.#grown = true;
        if (elsewhere) this.#elsewhere = true;
      },
    };
  }
}
