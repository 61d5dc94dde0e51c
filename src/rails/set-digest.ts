import { createHash } from 'node:crypto';
import { digestCanonical } from './canonical-json.js';
import type { Digest } from './digest.js';

const WORDS = 8;

/**
 * The digest of a set of rows that comes in any order (law R11) and is never held as a whole: the sum of their SHA-256 modulo 2^256, with their number.
 * It finds what was lost, changed, added or counted twice. It is for comparing what two parts of the platform made by themselves; against somebody who may
 * choose rows at will a sum is weaker than a hash over a sorted list.
 */
export class SetDigest {
  readonly #sum = new Uint32Array(WORDS);
  #rows = 0;

  get rows(): number {
    return this.#rows;
  }

  /** @param row one text per row: equal texts are equal rows */
  add(row: string): void {
    const hash = createHash('sha256').update(row, 'utf8').digest();
    this.#rows += 1;
    let carry = 0;
    for (let word = 0; word < WORDS; word += 1) {
      carry += (this.#sum[word] ?? 0) + hash.readUInt32LE(word * 4);
      this.#sum[word] = carry % 0x1_0000_0000;
      carry = carry >= 0x1_0000_0000 ? 1 : 0;
    }
  }

  digest(): Digest {
    return digestCanonical({ recipe: 'rails.set.v1', rows: this.#rows, sum: [...this.#sum] });
  }
}
