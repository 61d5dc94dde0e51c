import { mix32 } from '../../../rails/mix32.js';
import { STREAM, type Random } from './random.core.js';

/** Kinds of names. Numbers are part of every world's bytes. */
export const NAME = {
  customer: { number: 1, prefix: 'cus_' },
  account: { number: 2, prefix: 'acc_' },
  card: { number: 3, prefix: 'crd_' },
  device: { number: 4, prefix: 'dev_' },
  address: { number: 5, prefix: 'adr_' },
  email: { number: 6, prefix: 'eml_' },
  phone: { number: 7, prefix: 'phn_' },
  merchant: { number: 8, prefix: 'mer_' },
  terminal: { number: 9, prefix: 'trm_' },
  process: { number: 10, prefix: 'prc_' },
} as const;
export type NameKind = keyof typeof NAME;

/** Bits of a number that say what it is; from here on numbers belong to nobody of the population. */
export const OUTSIDE = 0x8000_0000;

const HEX_16_BITS = 65_536;

/**
 * Ids from numbers, by bijections that the seed chooses: two numbers never share an id, and an id tells nothing about its
 * number. Whose card it is, whether a device is a thief's, how old an account is: none of it can be read from a name, so
 * that a model cannot learn the generator instead of the fraud.
 */
export class Names {
  readonly #hex: readonly string[];
  readonly #keys: Int32Array;

  constructor(random: Random) {
    this.#hex = Array.from({ length: HEX_16_BITS }, (_, value) => value.toString(16).padStart(4, '0'));
    this.#keys = Int32Array.from({ length: 32 }, (_, index) => random.word(STREAM.naming, index, 0) | 0);
  }

  /** `number`: a whole number of 32 bits that names one thing of its kind. */
  of(kind: NameKind, number: number): string {
    const { number: kindNumber, prefix } = NAME[kind];
    const word = mix32(mix32(number ^ (this.#keys[kindNumber] ?? 0)) ^ (this.#keys[kindNumber + 11] ?? 0));
    return prefix + this.#text(word);
  }

  /** The id of a payment: a four-round Feistel network over both words, so again a bijection. */
  transaction(high: number, low: number): string {
    let left = high | 0;
    let right = low | 0;
    for (let round = 0; round < 4; round += 1) {
      const next = left ^ mix32(right ^ (this.#keys[24 + round] ?? 0));
      left = right;
      right = next;
    }
    return this.#text(left) + this.#text(right);
  }

  #text(word: number): string {
    return (this.#hex[word >>> 16] ?? '') + (this.#hex[word & 0xffff] ?? '');
  }
}

/**
 * Addresses of networks come from ranges that belong to nobody on the internet (RFC 1918, 6598, 2544), since a made-up
 * fraud must not point at somebody's real connection.
 */
export const homeAddress = (word: number): string => `10.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;

/** Carrier-grade translation: thousands of telephones behind one address. */
export const mobileAddress = (word: number): string =>
  `100.${64 + ((word >>> 16) & 63)}.${(word >>> 8) & 255}.${word & 255}`;

export const officeAddress = (word: number): string =>
  `172.${16 + ((word >>> 16) & 15)}.${(word >>> 8) & 255}.${word & 255}`;

/** Exits of private networks, which anybody may rent: 256 of them. */
export const exitAddress = (word: number): string => `198.18.7.${word & 255}`;
