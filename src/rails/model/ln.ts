/** The double nearest to the natural logarithm of 2, written out since `Math.LN2` is only approximately fixed. */
const LN_2 = 0.6931471805599453;

/** The natural logarithm of a number above 0, from basic operations alone: `Math.log` may differ in its last bit between engines. */
export function ln(x: number): number {
  let mantissa = x;
  let exponent = 0;
  for (; mantissa > 1.5; exponent += 1) mantissa /= 2;
  for (; mantissa < 0.75; exponent -= 1) mantissa *= 2;
  // ln m = 2 atanh((m-1)/(m+1)), and |(m-1)/(m+1)| <= 1/5: 5^-25 is below 2^-53.
  const ratio = (mantissa - 1) / (mantissa + 1);
  const square = ratio * ratio;
  let sum = 0;
  for (let power = 25; power >= 1; power -= 2) sum = sum * square + 1 / power;
  return 2 * ratio * sum + exponent * LN_2;
}
