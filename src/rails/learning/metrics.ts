import { logisticOf } from './logistic-function.js';
import { ln } from '../model/ln.js';
import { invalid } from './matrix.js';
import { countOf, type Quality, qualityOf, rankingOf, totalOf } from './ranking.js';

/**
 * Card precision at k: of the k cards of a day with the highest score (a card's score is the highest of its payments that day), the
 * share that had a fraud that day; the mean over the days. A card that was found on one day is left out of the days after it, since
 * it is blocked by then. Equal scores: the smaller card number first. A day with fewer than k cards still divides by k: the time of those
 * who look was there.
 *
 * @param days the day of each row, a whole number  @param cards to whom it belongs
 */
export function cardPrecisionAt(
  k: number,
  scores: Float64Array,
  labels: Uint8Array,
  cards: Int32Array,
  days: Int32Array,
): number {
  const found = new Set<number>();
  const byDay = new Map<number, number[]>();
  days.forEach((day, row) => {
    const rows = byDay.get(day);
    if (rows === undefined) byDay.set(day, [row]);
    else rows.push(row);
  });
  let sum = 0;
  for (const [, rows] of [...byDay].sort(([a], [b]) => a - b)) {
    const ofDay = new Map<number, { readonly card: number; score: number; fraud: boolean }>();
    for (const row of rows) {
      const card = cards[row] ?? 0;
      const score = scores[row] ?? 0;
      const known = ofDay.get(card);
      if (found.has(card)) continue;
      if (known === undefined) ofDay.set(card, { card, score, fraud: labels[row] === 1 });
      else {
        known.score = Math.max(known.score, score);
        known.fraud ||= labels[row] === 1;
      }
    }
    const highest = [...ofDay.values()].sort((a, b) => b.score - a.score || a.card - b.card).slice(0, k);
    const hits = highest.filter(({ fraud }) => fraud);
    for (const { card } of hits) found.add(card);
    sum += hits.length / k;
  }
  return byDay.size === 0 ? 0 : sum / byDay.size;
}

/** Probabilities from log odds. */
export function probabilitiesOf(logOdds: Float64Array): Float64Array {
  return logOdds.map(logisticOf);
}

/** Mean of −ln of what was said of the truth. A probability of 0 or 1 counts as 2^-52 from it: one certain error must not be infinite. */
export function logLoss(probabilities: Float64Array, labels: Uint8Array, weights?: Float64Array): number {
  const edge = 2 ** -52;
  let sum = 0;
  for (let row = 0; row < labels.length; row += 1) {
    const p = Math.max(edge, Math.min(1 - edge, probabilities[row] ?? 0));
    sum -= (weights?.[row] ?? 1) * ln(labels[row] === 1 ? p : 1 - p);
  }
  return sum / totalOf(labels.length, weights);
}

/** Mean squared distance between the probability and the truth. */
export function brier(probabilities: Float64Array, labels: Uint8Array, weights?: Float64Array): number {
  let sum = 0;
  for (let row = 0; row < labels.length; row += 1)
    sum += (weights?.[row] ?? 1) * ((probabilities[row] ?? 0) - (labels[row] ?? 0)) ** 2;
  return sum / totalOf(labels.length, weights);
}

export interface CostPoint {
  /** Everything whose score is at least so high is an alert; null: there are no alerts at all. */
  readonly threshold: number | null;
  readonly alerts: number;
  /** Amount of the frauds below the threshold. */
  readonly missed: number;
  /** `missed` and the cost of all alerts. */
  readonly cost: number;
}

export interface CostCurve {
  /** From no alert at all to an alert for everything. */
  readonly points: readonly CostPoint[];
  readonly cheapest: CostPoint;
}

/**
 * What each threshold costs: a missed fraud its amount, an alert a constant. The first of equally cheap thresholds, the one with fewer
 * alerts, is the cheapest.
 *
 * @param amounts of each row, in the unit of `alertCost`
 * @param most about how many points are kept; the cheapest is sought among all
 */
export function costCurve(
  scores: Float64Array,
  labels: Uint8Array,
  amounts: Float64Array,
  alertCost: number,
  most = Number.POSITIVE_INFINITY,
  weights?: Float64Array,
): CostCurve {
  if (amounts.length !== labels.length) throw invalid(`${amounts.length} amounts for ${labels.length} rows`);
  const { order, ends } = rankingOf(scores);
  let missed = 0;
  const lost = (row: number): number => (labels[row] === 1 ? (weights?.[row] ?? 1) * (amounts[row] ?? 0) : 0);
  for (let row = 0; row < labels.length; row += 1) missed += lost(row);
  const none: CostPoint = { threshold: null, alerts: 0, missed, cost: missed };
  const points = [none];
  let cheapest = none;
  let [place, next, alerts] = [0, 0, 0];
  ends.forEach((end, step) => {
    for (; place < end; place += 1) {
      const row = order[place] ?? 0;
      alerts += weights?.[row] ?? 1;
      missed -= lost(row);
    }
    const threshold = scores[order[end - 1] ?? 0] ?? 0;
    const point = { threshold, alerts, missed, cost: missed + alerts * alertCost };
    if (point.cost < cheapest.cost) cheapest = point;
    if (end < next && step < ends.length - 1) return;
    next = end + order.length / most;
    points.push(point);
  });
  return { points, cheapest };
}

export interface SliceQuality extends Quality {
  readonly slice: string;
  readonly rows: number;
  readonly frauds: number;
  readonly meanProbability: number;
  readonly fraudShare: number;
  readonly brier: number;
}

/**
 * The same figures for each part of the rows, largest first. Rows and frauds are counted as they are, the rest by weight.
 *
 * @param slices the part that each row belongs to
 */
export function sliceQualities(
  slices: readonly string[],
  logOdds: Float64Array,
  labels: Uint8Array,
  weights?: Float64Array,
): readonly SliceQuality[] {
  if (slices.length !== labels.length) throw invalid(`${slices.length} slices for ${labels.length} rows`);
  const rowsOfSlice = new Map<string, number[]>();
  slices.forEach((slice, row) => {
    const rows = rowsOfSlice.get(slice);
    if (rows === undefined) rowsOfSlice.set(slice, [row]);
    else rows.push(row);
  });
  const found = [...rowsOfSlice].map(([slice, rows]) => {
    const own = Float64Array.from(rows, (row) => logOdds[row] ?? 0);
    const ownLabels = Uint8Array.from(rows, (row) => labels[row] ?? 0);
    const ownWeights = weights === undefined ? undefined : Float64Array.from(rows, (row) => weights[row] ?? 0);
    const probabilities = probabilitiesOf(own);
    const total = totalOf(rows.length, ownWeights);
    return {
      slice,
      rows: rows.length,
      frauds: countOf(ownLabels),
      ...qualityOf(rankingOf(own), ownLabels, ownWeights),
      meanProbability: probabilities.reduce((sum, each, row) => sum + (ownWeights?.[row] ?? 1) * each, 0) / total,
      fraudShare: countOf(ownLabels, ownWeights) / total,
      brier: brier(probabilities, ownLabels, ownWeights),
    };
  });
  return found.sort((a, b) => b.rows - a.rows || (a.slice < b.slice ? -1 : 1));
}
