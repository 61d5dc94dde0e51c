import type { LinearModel, TreeModel } from '../model/bundle.schema.js';
import { exp } from '../model/exp.js';
import { logisticOf } from './logistic-function.js';
import { invalid } from './matrix.js';
import { brier } from './metrics.js';
import { countOf, totalOf } from './ranking.js';

/** Calibrated log odds = slope · log odds + intercept. */
export interface Platt {
  readonly slope: number;
  readonly intercept: number;
  /** The rows asked for a slope of nearly nothing or below: the scores tell nothing of the truth. It was held, so that their order stays. */
  readonly held: boolean;
}

const LEAST_SLOPE = 0.01;
const STEPS = 100;

/**
 * Platt scaling: logistic regression of the truth on the log odds, over rows that the model has not learnt from. Targets are drawn in a little
 * (n₁ + 1 of n₁ + 2), as Platt proposed, so that few rows do not make it certain.
 */
export function plattOf(logOdds: Float64Array, labels: Uint8Array, weights?: Float64Array): Platt {
  const frauds = countOf(labels, weights);
  const others = totalOf(labels.length, weights) - frauds;
  if (frauds === 0 || others === 0) throw invalid('calibration wants rows of both kinds');
  const rows: Rows = { logOdds, labels, weights, high: (frauds + 1) / (frauds + 2), low: 1 / (others + 2) };
  const free = fitted(rows, undefined);
  if (free.slope >= LEAST_SLOPE) return { ...free, held: false };
  return { ...fitted(rows, LEAST_SLOPE), held: true };
}

/** Newton's method for slope and intercept, or the intercept alone; a step that makes it worse is halved. */
function fitted(rows: Rows, held: number | undefined): { readonly slope: number; readonly intercept: number } {
  let [slope, intercept] = [held ?? 1, 0];
  let slopes = slopesAt(rows, slope, intercept);
  for (let step = 0; step < STEPS; step += 1) {
    const { a, b, aa, ab, bb } = slopes;
    const determinant = aa * bb - ab * ab;
    let moveA = held === undefined && determinant > 0 ? (bb * a - ab * b) / determinant : 0;
    let moveB = held === undefined && determinant > 0 ? (aa * b - ab * a) / determinant : b / Math.max(bb, 1e-12);
    const before = held === undefined ? a * a + b * b : b * b;
    let next = slopes;
    for (let half = 0; half < 30; half += 1) {
      next = slopesAt(rows, slope + moveA, intercept + moveB);
      if ((held === undefined ? next.a * next.a : 0) + next.b * next.b <= before) break;
      moveA /= 2;
      moveB /= 2;
    }
    slope += moveA;
    intercept += moveB;
    slopes = next;
    if (Math.abs(moveA) < 1e-12 && Math.abs(moveB) < 1e-12) break;
  }
  return { slope, intercept };
}

/** What is fitted to, with the targets of frauds and of others. */
interface Rows {
  readonly logOdds: Float64Array;
  readonly labels: Uint8Array;
  readonly weights: Float64Array | undefined;
  readonly high: number;
  readonly low: number;
}

interface Slopes {
  readonly a: number;
  readonly b: number;
  readonly aa: number;
  readonly ab: number;
  readonly bb: number;
}

/** First and second derivatives of the log likelihood by slope (a) and intercept (b). */
function slopesAt({ logOdds, labels, weights, high, low }: Rows, slope: number, intercept: number): Slopes {
  let [a, b, aa, ab, bb] = [0, 0, 0, 0, 0];
  for (let row = 0; row < labels.length; row += 1) {
    const x = logOdds[row] ?? 0;
    const p = 1 / (1 + exp(-(slope * x + intercept)));
    const weight = weights?.[row] ?? 1;
    const residual = weight * ((labels[row] === 1 ? high : low) - p);
    const curvature = weight * p * (1 - p);
    a += residual * x;
    b += residual;
    aa += curvature * x * x;
    ab += curvature * x;
    bb += curvature;
  }
  return { a, b, aa, ab, bb };
}

/** The model whose log odds are slope · log odds + intercept: folded into leaves and base, or weights and intercept. */
export function calibrated<Model extends LinearModel | TreeModel>(model: Model, platt: Platt): Model;
export function calibrated(model: LinearModel | TreeModel, { slope, intercept }: Platt): LinearModel | TreeModel {
  if (model.format === 'probity.linear.v1')
    return {
      ...model,
      intercept: slope * model.intercept + intercept,
      inputs: model.inputs.map((input) => ({
        ...input,
        weight: slope * input.weight,
        weight_missing: slope * input.weight_missing,
      })),
    };
  return {
    ...model,
    base: slope * model.base + intercept,
    trees: model.trees.map((nodes) => nodes.map((node) => ({ ...node, value: slope * node.value }))),
  };
}

export interface ReliabilityBin {
  readonly rows: number;
  readonly meanProbability: number;
  readonly fraudShare: number;
}

export interface Reliability {
  /** From the lowest probabilities to the highest, about equally many rows (by weight) in each; equal scores stay together. */
  readonly bins: readonly ReliabilityBin[];
  readonly brier: number;
  /** Mean distance between what was said and what was, over the bins, weighted by rows. */
  readonly expectedCalibrationError: number;
}

export function reliabilityOf(
  logOdds: Float64Array,
  labels: Uint8Array,
  count = 10,
  weights?: Float64Array,
): Reliability {
  const probabilities = logOdds.map(logisticOf);
  const at = (row: number): number => probabilities[row] ?? 0;
  const order = Int32Array.from(labels.keys()).sort((a, b) => at(a) - at(b) || a - b);
  const bins: ReliabilityBin[] = [];
  const total = totalOf(labels.length, weights);
  let [rows, said, frauds, error, seen] = [0, 0, 0, 0, 0];
  order.forEach((row, place) => {
    const weight = weights?.[row] ?? 1;
    rows += weight;
    seen += weight;
    said += weight * at(row);
    frauds += weight * (labels[row] ?? 0);
    const last = place === order.length - 1;
    const full = seen >= ((bins.length + 1) * total) / count;
    if (!last && (!full || at(order[place + 1] ?? 0) === at(row))) return;
    bins.push({ rows, meanProbability: said / rows, fraudShare: frauds / rows });
    error += Math.abs(said - frauds);
    [rows, said, frauds] = [0, 0, 0];
  });
  return { bins, brier: brier(probabilities, labels, weights), expectedCalibrationError: error / total };
}
