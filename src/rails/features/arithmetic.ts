/** A whole number. Beyond 2^53 it is a bigint, so that no sum is ever rounded (law R11). */
export type Whole = number | bigint;

export type Rounding = 'half_even' | 'half_up' | 'floor';

/** Written out: what `**` gives for whole numbers is left to the engine. */
const POWERS = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000];

/** Back to a number wherever that is exact. */
export function whole(value: Whole): Whole {
  if (typeof value === 'number') return value;
  const near = Number(value);
  return Number.isSafeInteger(near) ? near : value;
}

export function add(a: Whole, b: Whole): Whole {
  const sum = Number(a) + Number(b);
  return Number.isSafeInteger(sum) && typeof a === 'number' && typeof b === 'number'
    ? sum
    : whole(BigInt(a) + BigInt(b));
}

/** over / under × 10^scale, rounded once. `under` is above 0, `over` from 0. */
export function quotient(over: Whole, under: Whole, scale: number, rounding: Rounding): Whole {
  const scaled = Number(over) * (POWERS[scale] ?? Number.NaN);
  if (Number.isSafeInteger(scaled) && typeof over === 'number' && typeof under === 'number' && under < 2 ** 51) {
    // A remainder of two exact numbers is exact, and so is what is left after it is taken away.
    const rest = scaled % under;
    const floor = (scaled - rest) / under;
    return floor + roundUp(rest * 2 - under, floor % 2 === 1, rounding);
  }
  const [n, d] = [BigInt(over) * 10n ** BigInt(scale), BigInt(under)];
  const floor = n / d;
  const excess = (n % d) * 2n - d;
  const sign = excess === 0n ? 0 : excess > 0n ? 1 : -1;
  return whole(floor + BigInt(roundUp(sign, floor % 2n === 1n, rounding)));
}

/** @param excess twice the remainder less the divisor: above 0 when more than a half is left */
function roundUp(excess: number, isOdd: boolean, rounding: Rounding): 0 | 1 {
  if (rounding === 'floor' || excess < 0) return 0;
  if (excess > 0) return 1;
  return rounding === 'half_up' || isOdd ? 1 : 0;
}

/** √(E(x²) − E(x)²) × 10^scale, cut off; from exact sums. `count` is above 0. */
export function deviation(count: number, sum: Whole, squares: bigint, scale: number): Whole {
  const n = BigInt(count);
  const variance = n * squares - BigInt(sum) ** 2n;
  return whole(squareRoot((variance * 10n ** BigInt(2 * scale)) / (n * n)));
}

/** The greatest whole number whose square is not above the value (Newton's method from above). */
export function squareRoot(value: bigint): bigint {
  if (value < 2n) return value;
  let root = BigInt(Math.ceil(Math.sqrt(Number(value)))) + 1n;
  // An estimate from below would stop the descent too early.
  while (root * root < value) root *= 2n;
  for (;;) {
    const next = (root + value / root) / 2n;
    if (next >= root) return root;
    root = next;
  }
}
