import { mix32 } from '../mix32.js';

const { imul, floor } = Math;

const TWO_TO_MINUS_32 = 1 / 4_294_967_296;

/**
 * Numbers from a seed (xoshiro128**): whole 32-bit arithmetic, which every engine computes alike. Each use takes a stream of
 * its own, so that drawing more for one purpose moves nothing for another. Not for secrets.
 */
export class SeededRandom {
  #s0: number;
  #s1: number;
  #s2: number;
  #s3: number;

  /** @param seed and @param stream whole numbers; their lower 32 bits count */
  constructor(seed: number, stream = 0) {
    this.#s0 = mix32(seed ^ 0x9e3779b9);
    this.#s1 = mix32(this.#s0 ^ stream);
    this.#s2 = mix32(this.#s1 + 0x85ebca77);
    // Never all zeros, the one state that the generator cannot leave.
    this.#s3 = mix32(this.#s2 ^ seed) | 1;
  }

  /** 32 bits, unsigned. */
  next(): number {
    const s1 = this.#s1;
    const scrambled = imul(s1, 5);
    const result = imul((scrambled << 7) | (scrambled >>> 25), 9);
    this.#s2 ^= this.#s0;
    this.#s3 ^= s1;
    this.#s1 ^= this.#s2;
    this.#s0 ^= this.#s3;
    this.#s2 ^= s1 << 9;
    this.#s3 = (this.#s3 << 11) | (this.#s3 >>> 21);
    return result >>> 0;
  }

  /** From 0, below 1. */
  unit(): number {
    return this.next() * TWO_TO_MINUS_32;
  }

  /** A whole number from 0, below `limit` (at most 2^31). */
  below(limit: number): number {
    return floor(this.unit() * limit);
  }

  /** The whole numbers from 0, below `size`, in an order of chance (Fisher and Yates). */
  order(size: number): Int32Array {
    const places = Int32Array.from({ length: size }, (_, at) => at);
    for (let at = size - 1; at > 0; at -= 1) {
      const other = this.below(at + 1);
      const held = places[at] ?? 0;
      places[at] = places[other] ?? 0;
      places[other] = held;
    }
    return places;
  }
}
