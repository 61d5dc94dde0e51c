const { imul } = Math;

/** A bijection of 32-bit words in which each bit of the answer hangs on every bit given (the "lowbias32" constants). */
export function mix32(word: number): number {
  let x = word;
  x ^= x >>> 16;
  x = imul(x, 0x21f0aaad);
  x ^= x >>> 15;
  x = imul(x, 0x735a2d97);
  x ^= x >>> 15;
  return x;
}
