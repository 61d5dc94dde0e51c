/** A 64-bit seed as the two 32-bit words that the arithmetic works on. */
export interface SeedParts {
  readonly low: number;
  readonly high: number;
}

/** @param seed unsigned 64-bit number as decimal text, already validated as the pin `seed` */
export function asSeedParts(seed: string): SeedParts {
  const value = BigInt(seed);
  return { low: Number(value & 0xffff_ffffn) | 0, high: Number((value >> 32n) & 0xffff_ffffn) | 0 };
}
