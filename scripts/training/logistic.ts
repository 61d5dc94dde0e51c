import { exp } from '../../src/rails/model/exp.js';

/**
 * Logistic regression with a quadratic penalty, by Newton's method: basic operations alone, in a fixed order, so that the same rows give the same weights on any
 * machine.
 */
export interface Fitted {
  readonly intercept: number;
  readonly weights: readonly number[];
}

/** @param rows standardised inputs, one array each  @param penalty on the squares of the weights, not on the intercept */
export function fit(rows: readonly Float64Array[], isFraud: readonly boolean[], penalty: number, steps = 30): Fitted {
  const size = (rows[0]?.length ?? 0) + 1;
  let beta = new Float64Array(size);
  for (let step = 0; step < steps; step += 1) {
    const gradient = new Float64Array(size);
    const hessian = Array.from({ length: size }, () => new Float64Array(size));
    rows.forEach((row, at) => {
      const p = 1 / (1 + exp(-oddsOf(beta, row)));
      const residual = (isFraud[at] === true ? 1 : 0) - p;
      const curvature = p * (1 - p);
      for (let i = 0; i < size; i += 1) {
        const x = i === 0 ? 1 : (row[i - 1] ?? 0);
        if (x === 0) continue;
        gradient[i] = (gradient[i] ?? 0) + residual * x;
        const line = hessian[i];
        if (line === undefined) continue;
        for (let j = 0; j <= i; j += 1) line[j] = (line[j] ?? 0) + curvature * x * (j === 0 ? 1 : (row[j - 1] ?? 0));
      }
    });
    for (let i = 1; i < size; i += 1) {
      gradient[i] = (gradient[i] ?? 0) - penalty * (beta[i] ?? 0);
      const line = hessian[i];
      if (line !== undefined) line[i] = (line[i] ?? 0) + penalty;
    }
    const move = solved(hessian, gradient);
    beta = beta.map((value, at) => value + (move[at] ?? 0));
    if (move.every((each) => Math.abs(each) < 1e-10)) break;
  }
  const [intercept = 0, ...weights] = beta;
  return { intercept, weights };
}

export function oddsOf(beta: Float64Array, row: Float64Array): number {
  let odds = beta[0] ?? 0;
  for (let at = 0; at < row.length; at += 1) odds += (beta[at + 1] ?? 0) * (row[at] ?? 0);
  return odds;
}

/** Solves A x = b for the lower half of a symmetric positive definite A (Cholesky). */
function solved(lower: readonly Float64Array[], b: Float64Array): Float64Array {
  const size = b.length;
  const l = lower.map((line) => Float64Array.from(line));
  const cell = (i: number, j: number): number => l[i]?.[j] ?? 0;
  for (let i = 0; i < size; i += 1) {
    for (let j = 0; j <= i; j += 1) {
      let sum = cell(i, j);
      for (let k = 0; k < j; k += 1) sum -= cell(i, k) * cell(j, k);
      const line = l[i];
      if (line !== undefined) line[j] = i === j ? Math.sqrt(Math.max(sum, 1e-12)) : sum / cell(j, j);
    }
  }
  const y = new Float64Array(size);
  for (let i = 0; i < size; i += 1) {
    let sum = b[i] ?? 0;
    for (let k = 0; k < i; k += 1) sum -= cell(i, k) * (y[k] ?? 0);
    y[i] = sum / cell(i, i);
  }
  const x = new Float64Array(size);
  for (let i = size - 1; i >= 0; i -= 1) {
    let sum = y[i] ?? 0;
    for (let k = i + 1; k < size; k += 1) sum -= cell(k, i) * (x[k] ?? 0);
    x[i] = sum / cell(i, i);
  }
  return x;
}
