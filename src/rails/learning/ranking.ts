import { invalid } from './matrix.js';

/**
 * Rows from the highest score to the lowest. Equal scores are one step: whoever sets a threshold takes all of them or none.
 * Within a step rows stand in their own order.
 */
export interface Ranking {
  readonly order: Int32Array;
  /** Where each step ends in `order` (one past its last row). */
  readonly ends: Int32Array;
}

export function rankingOf(scores: Float64Array): Ranking {
  const at = (row: number): number => scores[row] ?? 0;
  if (scores.some((score) => Number.isNaN(score))) throw invalid('a score is not a number');
  const order = Int32Array.from(scores.keys()).sort((a, b) => at(b) - at(a) || a - b);
  const ends = new Int32Array(order.length);
  let steps = 0;
  for (let place = 1; place <= order.length; place += 1)
    if (place === order.length || at(order[place] ?? 0) !== at(order[place - 1] ?? 0)) {
      ends[steps] = place;
      steps += 1;
    }
  return { order, ends: ends.slice(0, steps) };
}

export interface Quality {
  /** Σ (recall − recall of the step before) · precision, as scikit-learn defines it. Null where there is no fraud. */
  readonly averagePrecision: number | null;
  /** How likely a fraud stands above another row; equal scores count half. Null where one kind is missing. */
  readonly rocAuc: number | null;
}

/** @param counts how often each row counts; once where it is not said. One pass: the ranking is made once and asked often. */
export function qualityOf({ order, ends }: Ranking, labels: Uint8Array, counts?: Float64Array): Quality {
  let [caught, alarms, precisionSum, pairs, place] = [0, 0, 0, 0, 0];
  for (let step = 0; step < ends.length; step += 1) {
    const end = ends[step] ?? 0;
    let [hits, misses] = [0, 0];
    for (; place < end; place += 1) {
      const row = order[place] ?? 0;
      const count = counts === undefined ? 1 : (counts[row] ?? 0);
      if (labels[row] === 1) hits += count;
      else misses += count;
    }
    pairs += misses * (caught + hits / 2);
    caught += hits;
    alarms += misses;
    if (hits > 0) precisionSum += hits * (caught / (caught + alarms));
  }
  return {
    averagePrecision: caught === 0 ? null : precisionSum / caught,
    rocAuc: caught === 0 || alarms === 0 ? null : pairs / (caught * alarms),
  };
}

export function averagePrecision(scores: Float64Array, labels: Uint8Array): number | null {
  return qualityOf(rankingOf(scores), labels).averagePrecision;
}

export function rocAuc(scores: Float64Array, labels: Uint8Array): number | null {
  return qualityOf(rankingOf(scores), labels).rocAuc;
}

/**
 * Share of the frauds among the highest scores, for each share of all rows that may be looked at. Somebody who has time for so
 * many takes exactly so many: equal scores at the edge are taken in the order of the rows.
 */
export function recallAt(ranking: Ranking, labels: Uint8Array, shares: readonly number[]): readonly number[] {
  const frauds = countOf(labels);
  return shares.map((share) => looked(ranking, labels, share).caught / frauds);
}

export interface Looked {
  readonly alerts: number;
  readonly caught: number;
  /** The last row that was looked at; null: none was. */
  readonly last: number | null;
}

/** What is found among the highest scores by whoever has time for this share of all rows. Of a row that only fits in part, the part counts. */
export function looked({ order }: Ranking, labels: Uint8Array, share: number, weights?: Float64Array): Looked {
  const most = Math.round(share * totalOf(labels.length, weights));
  let [alerts, caught, place] = [0, 0, 0];
  for (; place < order.length && alerts < most; place += 1) {
    const row = order[place] ?? 0;
    const count = Math.min(weights?.[row] ?? 1, most - alerts);
    alerts += count;
    if (labels[row] === 1) caught += count;
  }
  return { alerts, caught, last: place === 0 ? null : (order[place - 1] ?? null) };
}

/** What a threshold gives: everything whose score is at least so high is an alert. */
export interface ThresholdPoint {
  readonly threshold: number;
  readonly alerts: number;
  readonly caught: number;
  readonly precision: number;
  readonly recall: number;
}

/** From the highest threshold to the lowest; of many steps about `most`, evenly spaced over the alerts, the last one always. */
export function thresholdCurve(
  scores: Float64Array,
  labels: Uint8Array,
  most = Number.POSITIVE_INFINITY,
  weights?: Float64Array,
): readonly ThresholdPoint[] {
  const { order, ends } = rankingOf(scores);
  const frauds = countOf(labels, weights);
  const points: ThresholdPoint[] = [];
  let [alerts, caught, place, next] = [0, 0, 0, 0];
  ends.forEach((end, step) => {
    for (; place < end; place += 1) {
      const row = order[place] ?? 0;
      const count = weights?.[row] ?? 1;
      alerts += count;
      if (labels[row] === 1) caught += count;
    }
    if (end < next && step < ends.length - 1) return;
    next = end + order.length / most;
    const threshold = scores[order[end - 1] ?? 0] ?? 0;
    points.push({
      threshold,
      alerts,
      caught,
      precision: alerts === 0 ? 0 : caught / alerts,
      recall: frauds === 0 ? 0 : caught / frauds,
    });
  });
  return points;
}

/** Frauds, by weight where there are weights. */
export function countOf(labels: Uint8Array, weights?: Float64Array): number {
  return labels.reduce((sum, label, row) => sum + label * (weights?.[row] ?? 1), 0);
}

/** What so many rows stand for. */
export function totalOf(rows: number, weights?: Float64Array): number {
  return weights === undefined ? rows : weights.reduce((sum, weight) => sum + weight, 0);
}
