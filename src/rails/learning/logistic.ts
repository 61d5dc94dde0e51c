import { ProbityError } from '../errors/probity-error.js';
import type { LinearModel } from '../model/bundle.schema.js';
import { exp } from '../model/exp.js';
import { ln } from '../model/ln.js';
import { checkLearnable, type TrainingMatrix } from './matrix.js';

export interface LogisticSettings {
  /** On the squares of the weights of standardised inputs, not on the intercept. */
  readonly penalty: number;
  /** The most steps of Newton's method. */
  readonly steps: number;
  /** By name of column: what is above it counts as much. */
  readonly caps: Readonly<Record<string, number>>;
  /** Means, deviations and weights keep so many digits; all of them where it is not said. */
  readonly digits?: number;
}

export const DEFAULT_LOGISTIC: LogisticSettings = { penalty: 2, steps: 30, caps: {} };

export interface Inputs {
  /** Where each column comes from and which reason it gives; features by default. */
  readonly inputs?: readonly Pick<LinearModel['inputs'][number], 'source' | 'name' | 'reason_code'>[];
  /** Asked before each step. */
  readonly stopped?: () => boolean;
}

/**
 * Logistic regression by Newton's method over standardised inputs, each with a weight of its own for what is missing. Basic operations alone,
 * in a fixed order: the same rows give the same weights on any machine. In another order of the rows the last digits differ.
 */
export function trainLogistic(matrix: TrainingMatrix, settings: LogisticSettings, around: Inputs = {}): LinearModel {
  checkLearnable(matrix);
  const { penalty, steps, caps, digits } = settings;
  if (!(penalty >= 0 && Number.isFinite(penalty)) || !(Number.isInteger(steps) && steps >= 1))
    throw new ProbityError('LEARNING_SETTINGS_INVALID', 'penalty is at least 0, steps a whole number from 1');
  const kept = (value: number): number => (digits === undefined ? value : Number(value.toPrecision(digits)));
  const standards = matrix.columns.map((column, at) =>
    standardOf(column, matrix.weights, caps[matrix.names[at] ?? ''] ?? Number.POSITIVE_INFINITY, kept),
  );
  const beta = fit(designOf(matrix, standards), matrix, penalty, steps, around.stopped ?? (() => false));
  const from = around.inputs ?? matrix.names.map((name) => ({ source: 'features' as const, name }));
  return {
    format: 'probity.linear.v1',
    inputs: from.map((input, at) => {
      const { mean, deviation, cap } = standards[at] ?? { mean: 0, deviation: 1, cap: Number.POSITIVE_INFINITY };
      return {
        ...input,
        ...(Number.isFinite(cap) ? { cap } : {}),
        mean,
        deviation,
        weight: kept(beta[1 + 2 * at] ?? 0),
        weight_missing: kept(beta[2 + 2 * at] ?? 0),
      };
    }),
    intercept: kept(beta[0] ?? 0),
  };
}

interface Standard {
  readonly mean: number;
  readonly deviation: number;
  readonly cap: number;
}

/** Mean and deviation of what is there. */
function standardOf(
  column: Float64Array,
  weights: Float64Array | undefined,
  cap: number,
  kept: (value: number) => number,
): Standard {
  const meanOf = (of: (value: number) => number): number => {
    let [sum, total] = [0, 0];
    for (let row = 0; row < column.length; row += 1) {
      const value = column[row] ?? 0;
      if (Number.isNaN(value)) continue;
      const weight = weights === undefined ? 1 : (weights[row] ?? 0);
      sum += weight * of(Math.min(value, cap));
      total += weight;
    }
    return total === 0 ? 0 : sum / total;
  };
  const mean = kept(meanOf((value) => value));
  const deviation = kept(Math.sqrt(meanOf((value) => (value - mean) ** 2)));
  return { mean, deviation: deviation === 0 ? 1 : deviation, cap };
}

/** Row after row: for each column its standardised value (0 where there is none) and whether it is missing. */
function designOf({ columns, labels }: TrainingMatrix, standards: readonly Standard[]): Float64Array {
  const width = 2 * columns.length;
  const design = new Float64Array(labels.length * width);
  columns.forEach((column, at) => {
    const { mean, deviation, cap } = standards[at] ?? { mean: 0, deviation: 1, cap: 0 };
    for (let row = 0; row < labels.length; row += 1) {
      const value = column[row] ?? 0;
      if (Number.isNaN(value)) design[row * width + 2 * at + 1] = 1;
      else design[row * width + 2 * at] = (Math.min(value, cap) - mean) / deviation;
    }
  });
  return design;
}

/** Intercept first, then a weight for each column of the design. */
function fit(
  design: Float64Array,
  { labels, weights }: TrainingMatrix,
  penalty: number,
  steps: number,
  stopped: () => boolean,
): Float64Array {
  const size = design.length / labels.length + 1;
  const gradient = new Float64Array(size);
  const hessian = new Float64Array(size * size);
  let from = new Float64Array(size);
  let move = new Float64Array(size);
  let beta = new Float64Array(size);
  let last = Number.POSITIVE_INFINITY;
  for (let step = 0; step < steps; step += 1) {
    if (stopped()) throw new ProbityError('LEARNING_STOPPED', `stopped before step ${step + 1}`);
    const loss = derive(beta, design, labels, weights, penalty, gradient, hessian);
    if (loss > last + 1e-9 * (1 + last)) {
      // Too far: half the way back. Where the loss bends sharply a full step of Newton's may lead uphill.
      move = move.map((each) => each / 2);
      beta = from.map((value, at) => value + (move[at] ?? 0));
      continue;
    }
    last = loss;
    from = beta;
    move = solved(hessian, gradient);
    beta = from.map((value, at) => value + (move[at] ?? 0));
    if (move.every((each) => Math.abs(each) < 1e-10)) break;
  }
  return beta;
}

/** Fills gradient and (lower half of the) curvature of the penalised log likelihood; returns the penalised loss. */
function derive(
  beta: Float64Array,
  design: Float64Array,
  labels: Uint8Array,
  weights: Float64Array | undefined,
  penalty: number,
  gradient: Float64Array,
  hessian: Float64Array,
): number {
  const size = beta.length;
  const width = size - 1;
  gradient.fill(0);
  hessian.fill(0);
  let loss = 0;
  for (let row = 0; row < labels.length; row += 1) {
    const start = row * width - 1;
    let odds = beta[0] ?? 0;
    for (let i = 1; i < size; i += 1) odds += (beta[i] ?? 0) * (design[start + i] ?? 0);
    const weight = weights === undefined ? 1 : (weights[row] ?? 0);
    const p = 1 / (1 + exp(-odds));
    const residual = weight * ((labels[row] ?? 0) - p);
    const curvature = weight * (p * (1 - p));
    loss += weight * (Math.max(labels[row] === 1 ? -odds : odds, 0) + ln(1 + exp(-Math.abs(odds))));
    for (let i = 0; i < size; i += 1) {
      const x = i === 0 ? 1 : (design[start + i] ?? 0);
      if (x === 0) continue;
      gradient[i] = (gradient[i] ?? 0) + residual * x;
      const line = i * size;
      const bent = curvature * x;
      hessian[line] = (hessian[line] ?? 0) + bent;
      for (let j = 1; j <= i; j += 1) hessian[line + j] = (hessian[line + j] ?? 0) + bent * (design[start + j] ?? 0);
    }
  }
  for (let i = 1; i < size; i += 1) {
    gradient[i] = (gradient[i] ?? 0) - penalty * (beta[i] ?? 0);
    hessian[i * size + i] = (hessian[i * size + i] ?? 0) + penalty;
    loss += (penalty * (beta[i] ?? 0) ** 2) / 2;
  }
  return loss;
}

/** Solves A x = b for the lower half of a symmetric positive definite A (Cholesky). */
function solved(lower: Float64Array, b: Float64Array): Float64Array<ArrayBuffer> {
  const size = b.length;
  const l = lower.slice();
  const cell = (i: number, j: number): number => l[i * size + j] ?? 0;
  for (let i = 0; i < size; i += 1) {
    for (let j = 0; j <= i; j += 1) {
      let sum = cell(i, j);
      for (let k = 0; k < j; k += 1) sum -= cell(i, k) * cell(j, k);
      l[i * size + j] = i === j ? Math.sqrt(Math.max(sum, 1e-12)) : sum / cell(j, j);
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
