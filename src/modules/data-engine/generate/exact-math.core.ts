import { ln } from '../../../rails/model/ln.js';
import { type Random } from './random.core.js';

/**
 * Curves from `+ − × ÷` and `sqrt` alone. IEEE 754 fixes the result of these to the last bit, and JavaScript forbids to fuse
 * them; `Math.exp`, `Math.log`, `Math.sin` and `Math.pow` may differ in the last bit between engines and versions, and one
 * such bit is another amount, another digest, another world (law R11).
 */

/** The double nearest to the natural logarithm of 2, written out since `Math.LN2` is only approximately fixed. */
const LN_2 = 0.6931471805599453;

/** e^x for |x| up to 300. */
export function exactExp(x: number): number {
  const halvings = Math.floor(x / LN_2 + 0.5);
  const rest = x - halvings * LN_2;
  // |rest| <= 0.35: the thirteenth term is below 2^-53.
  let sum = 1;
  for (let term = 13; term >= 1; term -= 1) sum = 1 + (sum * rest) / term;
  const factor = halvings < 0 ? 0.5 : 2;
  for (let step = Math.abs(halvings); step > 0; step -= 1) sum *= factor;
  return sum;
}

/** Acklam's rational approximation of the normal distribution's quantile; wrong by less than 2·10^-9 of the value. */
function normalQuantile(p: number): number {
  if (p > 0.5) return -normalQuantile(1 - p);
  if (p < 0.02425) {
    const q = Math.sqrt(-2 * ln(p));
    const above =
      ((((-0.007784894002430293 * q - 0.3223964580411365) * q - 2.400758277161838) * q - 2.549732539343734) * q +
        4.374664141464968) *
        q +
      2.938163982698783;
    const below =
      (((0.007784695709041462 * q + 0.3224671290700398) * q + 2.445134137142996) * q + 3.754408661907416) * q + 1;
    return above / below;
  }
  const q = p - 0.5;
  const r = q * q;
  const above =
    (((((-39.69683028665376 * r + 220.9460984245205) * r - 275.9285104469687) * r + 138.357751867269) * r -
      30.66479806614716) *
      r +
      2.506628277459239) *
    q;
  const below =
    ((((-54.47609879822406 * r + 161.5858368580409) * r - 155.6989798598866) * r + 66.80131188771972) * r -
      13.28068155288572) *
      r +
    1;
  return above / below;
}

const STEPS = 4_096;

/** Normally distributed numbers by inverse distribution: a table of 4,097 quantiles, straight lines between them. */
export class Normal {
  readonly #quantiles = new Float64Array(STEPS + 1);

  constructor() {
    // The outermost quantiles stand in for plus and minus infinity: no number beyond 3.7 standard deviations.
    for (let step = 0; step <= STEPS; step += 1) {
      this.#quantiles[step] = normalQuantile((step + 0.5) / (STEPS + 1));
    }
  }

  /** The quantile of a share from 0, below 1. */
  of(share: number): number {
    const place = share * STEPS;
    const step = Math.floor(place);
    const left = this.#quantiles[step] ?? 0;
    return left + ((this.#quantiles[step + 1] ?? left) - left) * (place - step);
  }

  /** A factor around 1: its median is 1, its logarithm has the standard deviation `sigma`. */
  factor(share: number, sigma: number): number {
    return exactExp(sigma * this.of(share));
  }
}

/** Means above this are drawn in parts: sums of Poisson counts are Poisson counts, and e^-mean stays far from nothing. */
const POISSON_PART = 30;

/** A count with the mean `mean`, by multiplying fractions until they are below e^-mean. */
export function poisson(random: Random, mean: number): number {
  if (mean <= 0) return 0;
  let count = 0;
  let rest = mean;
  for (; rest > POISSON_PART; rest -= POISSON_PART) count += poisson(random, POISSON_PART);
  const limit = exactExp(-rest);
  for (let product = random.unit(); product > limit; product *= random.unit()) count += 1;
  return count;
}

/** Running sums of weights, the last one 1: what `pick` searches. */
export function cumulative(weights: readonly number[]): Float64Array {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const sums = new Float64Array(weights.length);
  let sum = 0;
  for (const [index, weight] of weights.entries()) {
    sum += weight;
    sums[index] = sum / total;
  }
  return sums;
}

/** The index whose slice of [0, 1) holds the share. */
export function pick(sums: Float64Array, share: number): number {
  let low = 0;
  let high = sums.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (share < (sums[middle] ?? 1)) high = middle;
    else low = middle + 1;
  }
  return low;
}
