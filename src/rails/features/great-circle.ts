/**
 * Distances on the globe from `+ − × ÷` and `sqrt` alone, whose results IEEE 754 fixes to the last bit: `Math.sin` and its kin
 * may differ between engines and versions, and one metre more would be another snapshot hash (law R11).
 */

const PI = 3.141592653589793;
/** Mean radius of the earth (IUGG), metres. */
const RADIUS_M = 6_371_008.8;
const RADIANS_PER_MICRO_DEGREE = PI / 180_000_000;

export interface Place {
  readonly latitudeE6: number;
  readonly longitudeE6: number;
}

/** Whole metres along the great circle (haversine). */
export function metresBetween(a: Place, b: Place): number {
  const north = sine(((b.latitudeE6 - a.latitudeE6) / 2) * RADIANS_PER_MICRO_DEGREE);
  const east = sine(((b.longitudeE6 - a.longitudeE6) / 2) * RADIANS_PER_MICRO_DEGREE);
  const shrink = cosine(a.latitudeE6 * RADIANS_PER_MICRO_DEGREE) * cosine(b.latitudeE6 * RADIANS_PER_MICRO_DEGREE);
  const haversine = north * north + shrink * east * east;
  return Math.round(2 * RADIUS_M * arcSine(Math.sqrt(Math.min(1, haversine))));
}

/** For |x| up to π. */
export function sine(x: number): number {
  if (x > PI / 2) return sine(PI - x);
  if (x < -PI / 2) return sine(-PI - x);
  const square = x * x;
  // x^25 / 25! is below 2^-53 at π/2.
  let sum = 1;
  for (let term = 24; term >= 2; term -= 2) sum = 1 - (sum * square) / (term * (term + 1));
  return x * sum;
}

function cosine(x: number): number {
  return sine(PI / 2 - (x < 0 ? -x : x));
}

/** For x from 0 to 1. */
export function arcSine(x: number): number {
  if (x > 0.5) return PI / 2 - 2 * arcSine(Math.sqrt((1 - x) / 2));
  const square = x * x;
  // Terms shrink by 1/4 at least: the 27th is below 2^-53.
  let sum = 0;
  for (let n = 27; n >= 1; n -= 1) sum = ((2 * n - 1) * (2 * n - 1) * square * (1 + sum)) / (2 * n * (2 * n + 1));
  return x * (1 + sum);
}
