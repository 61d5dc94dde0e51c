/** ln 2 in two parts: the first has so few digits that k times it is exact for every k that occurs. */
const LN2_HIGH = 0.6931471803691238;
const LN2_LOW = 1.9082149292705877e-10;
const INVERSE_LN2 = 1.4426950408889634;

const MOST_DOUBLINGS = 1_010;
/** 2^-1010 … 2^1010. Exact: halving and doubling lose nothing within the range of a double. */
const POWERS_OF_TWO = powersOfTwo();

/**
 * e^x from additions and multiplications alone, in a fixed order. `Math.exp` is "implementation-approximated": two engines may differ in its last bit, and
 * a decision has to come out the same on any of them. IEEE 754 fixes the basic operations. Beyond ±700 the score is 0 or 1 to
 * every digit that is kept, so the argument is held there.
 */
export function exp(x: number): number {
  const held = Math.max(-700, Math.min(700, x));
  const k = Math.round(held * INVERSE_LN2);
  const r = held - k * LN2_HIGH - k * LN2_LOW;
  // 1/n! for n = 13 … 0: on |r| ≤ ln2/2 the rest of the series is below 2^-56 of the value.
  let sum = 1 / 6_227_020_800;
  sum = sum * r + 1 / 479_001_600;
  sum = sum * r + 1 / 39_916_800;
  sum = sum * r + 1 / 3_628_800;
  sum = sum * r + 1 / 362_880;
  sum = sum * r + 1 / 40_320;
  sum = sum * r + 1 / 5_040;
  sum = sum * r + 1 / 720;
  sum = sum * r + 1 / 120;
  sum = sum * r + 1 / 24;
  sum = sum * r + 1 / 6;
  sum = sum * r + 0.5;
  sum = sum * r + 1;
  sum = sum * r + 1;
  return sum * (POWERS_OF_TWO[k + MOST_DOUBLINGS] ?? 0);
}

/** The logistic function, quantised once: whole millionths from 0 to 1,000,000. */
export function logisticE6(logOdds: number): number {
  return Math.round(1_000_000 / (1 + exp(-logOdds)));
}

function powersOfTwo(): Float64Array {
  const powers = new Float64Array(2 * MOST_DOUBLINGS + 1).fill(1);
  for (let k = 1; k <= MOST_DOUBLINGS; k += 1) {
    powers[MOST_DOUBLINGS + k] = (powers[MOST_DOUBLINGS + k - 1] ?? 1) * 2;
    powers[MOST_DOUBLINGS - k] = (powers[MOST_DOUBLINGS - k + 1] ?? 1) * 0.5;
  }
  return powers;
}
