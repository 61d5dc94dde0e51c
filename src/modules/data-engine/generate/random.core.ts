import { mix32 } from '../../../rails/mix32.js';
import { asSeedParts, type SeedParts } from './seed.core.js';

/**
 * The streams of chance. Each draw belongs to a stream, an entity and a place within it, and to nothing else: a customer's
 * third payment of day 17 comes out the same whoever else exists and whatever was drawn before it. Numbers are part of
 * every world's bytes: a stream keeps its number for ever, a new one takes the next.
 */
export const STREAM = {
  customer: 1,
  day: 2,
  row: 3,
  trip: 4,
  subscription: 5,
  favourite: 6,
  device: 7,
  address: 8,
  network: 9,
  payee: 10,
  merchant: 11,
  lifestyle: 12,
  label: 13,
  schedule: 14,
  victim: 15,
  fraudRow: 16,
  terminal: 17,
  naming: 18,
  merchantKinds: 19,
  replacement: 20,
} as const;
export type Stream = (typeof STREAM)[keyof typeof STREAM];

/** Taken out of the global object once: this is asked for some hundred times per payment. */
const { imul, floor } = Math;

const TWO_TO_MINUS_32 = 1 / 4_294_967_296;

/**
 * Splittable pseudo-random numbers: `at` goes to the beginning of the stream that (seed, stream, a, b) name, by hashing them
 * into the 128 bits of an xoshiro128** generator. All of it is whole 32-bit arithmetic (`Math.imul`, shifts), which every
 * engine computes alike; fractions are 32-bit words times 2^-32, which is exact. Not for secrets.
 */
export class Random {
  readonly #seed: SeedParts;
  #s0 = 0;
  #s1 = 0;
  #s2 = 0;
  #s3 = 1;

  /** @param seed unsigned 64-bit number as decimal text */
  constructor(seed: string) {
    this.#seed = asSeedParts(seed);
  }

  /** Goes to the beginning of a stream. `a` and `b` are whole numbers of 32 bits. Returns itself. */
  at(stream: Stream, a: number, b: number): this {
    // Two chains of 32 bits: with one alone two of 100,000 rows would already share their stream.
    let x = mix32(this.#seed.low ^ imul(stream, 0x9e3779b1));
    let y = mix32(this.#seed.high ^ imul(stream, 0x85ebca77));
    x = mix32(x ^ a);
    y = mix32((y + imul(a, 0xc2b2ae3d)) ^ 0x165667b1);
    x = mix32(x ^ b);
    y = mix32((y + imul(b, 0x27d4eb2f)) ^ (x >>> 7));
    this.#s0 = x;
    this.#s1 = y;
    this.#s2 = mix32(x + 0x9e3779b9);
    // Never all zeros, the one state that the generator cannot leave.
    this.#s3 = mix32(y ^ 0x5bd1e995) | 1;
    return this;
  }

  /** 32 bits, signed. */
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
    return result;
  }

  /** From 0, below 1. */
  unit(): number {
    return (this.next() >>> 0) * TWO_TO_MINUS_32;
  }

  /** A whole number from 0, below `limit` (at most 2^31). */
  below(limit: number): number {
    return floor(this.unit() * limit);
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  chance(probability: number): boolean {
    return this.unit() < probability;
  }

  /** One word of a stream, without moving to it: for properties that are asked for often and never stored. */
  word(stream: Stream, a: number, b: number): number {
    const x = mix32(mix32(this.#seed.low ^ imul(stream, 0x9e3779b1)) ^ a);
    const y = mix32((mix32(this.#seed.high ^ imul(stream, 0x85ebca77)) + imul(a, 0xc2b2ae3d)) ^ b);
    return mix32(x ^ imul(y, 0x27d4eb2f) ^ b) >>> 0;
  }

  /** The same as a fraction from 0, below 1. */
  share(stream: Stream, a: number, b: number): number {
    return this.word(stream, a, b) * TWO_TO_MINUS_32;
  }
}
