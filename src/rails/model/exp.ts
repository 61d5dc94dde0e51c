/** ln 2 in two parts: the first has so few digits that k times it is exact for every k that occurs. */
const LN2_HIGH = 0.6931471803691238;
const LN2_LOW = 1.9082149292705877e-10;
const INVERSE_LN2 = 1.4426950408889634;

/** 1/n! for n = 13 … 0: on |r| ≤ ln2/2 the rest of the series is below 2^-56 of the value. */
const COEFFICIENTS = [
  1 / 6_227_020_800,
  1 / 479_001_600,
  1 / 39_916_800,
  1 / 3_628_800,
  1 / 362_880,
  1 / 40_320,
  1 / 5_040,
  1 / 720,
  1 / 120,
  1 / 24,
  1 / 6,
  0.5,
  1,
  1,
];

/**
 * e^x from additions and multiplications alone, in a fixed order. `Math.exp` is "implementation-approximated": two engines may differ in its last bit, and
 * a decision has to come out the same on any of them. IEEE 754 fixes the basic operations. Beyond ±700 the score is 0 or 1 to
 * every digit that is kept, so the argument is held there.
 */
export function exp(x: number): number {
  const held = Math.max(-700, Math.min(700, x));
  const k = Math.round(held * INVERSE_LN2);
  const r = held - k * LN2_HIGH - k * LN2_LOW;
  let sum = 0;
  for (const coefficient of COEFFICIENTS) sum = sum * r + coefficient;
  return sum * powerOfTwo(k);
}

/** The logistic function, quantised once: whole millionths from 0 to 1,000,000. */
export function logisticE6(logOdds: number): number {
  return Math.round(1_000_000 / (1 + exp(-logOdds)));
}

/** Exact: halving and doubling lose nothing within the range of a double. */
function powerOfTwo(k: number): number {
  let value = 1;
  const factor = k < 0 ? 0.5 : 2;
  for (let left = Math.abs(k); left > 0; left -= 1) value *= factor;
  return value;
}
