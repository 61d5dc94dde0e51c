import { differenceOf, type Interval, intervalOf } from '../../../rails/learning/bootstrap.js';
import { reliabilityOf } from '../../../rails/learning/calibration.js';
import { spreadOf, stabilityIndex } from '../../../rails/learning/drift.js';
import {
  brier,
  cardPrecisionAt,
  type CostPoint,
  costCurve,
  logLoss,
  probabilitiesOf,
  sliceQualities,
} from '../../../rails/learning/metrics.js';
import { countOf, looked, rankingOf, thresholdCurve, totalOf } from '../../../rails/learning/ranking.js';
import { logisticE6 } from '../../../rails/model/exp.js';
import { fromEpochMicros } from '../../../rails/time.js';
import { joined } from '../../../rails/learning/matrix.js';
import type { PartRows } from './dataset-matrix.js';
import type { EvalReport, PartFigures, QualityFigures, SliceFigures } from './eval-report.schema.js';
import type { FactoryPolicy, SliceName } from './gate-policy.schema.js';

const DAY_S = 86_400;
const CURVE_POINTS = 200;
const SLICES_MAX = 20;

/** A figure as a report holds it: six digits behind the point, and never −0. */
export function rounded(value: number): number {
  return Math.round(value * 1e6) / 1e6 + 0;
}

export function roundedOrNull(value: number | null): number | null {
  return value === null || Number.isNaN(value) ? null : rounded(value);
}

function intervalFigures({ value, low, high }: Interval): QualityFigures['roc_auc'] {
  return { value: rounded(value), low: rounded(low), high: rounded(high) };
}

export function partFigures({ matrix, micros }: PartRows): PartFigures {
  const rows = matrix.labels.length;
  const weight = totalOf(rows, matrix.weights);
  const time = (at: number): PartFigures['from_utc'] => {
    const found = micros[at];
    return found === undefined ? null : fromEpochMicros(found);
  };
  return {
    rows,
    frauds: countOf(matrix.labels),
    weight: rounded(weight),
    base_rate: weight === 0 ? null : rounded(countOf(matrix.labels, matrix.weights) / weight),
    from_utc: time(0),
    to_utc: time(rows - 1),
  };
}

/** How good scores are on these rows. Everything is by weight, but what a card is needed for. */
export function qualityFigures(logOdds: Float64Array, { matrix }: PartRows, policy: FactoryPolicy): QualityFigures {
  const { labels, weights, groups, seconds } = matrix;
  const probabilities = probabilitiesOf(logOdds);
  const precision = intervalOf('averagePrecision', logOdds, labels, policy.bootstrap, weights);
  const base = countOf(labels, weights) / totalOf(labels.length, weights);
  const ranking = rankingOf(logOdds);
  const frauds = countOf(labels, weights);
  const cards = cardRows(groups);
  // Of a sample, the other payments of a card are not there to be looked at.
  const asked = weights === undefined && cards.length > 0;
  const days = Int32Array.from(cards, (row) => Math.floor((seconds[row] ?? 0) / DAY_S));
  return {
    average_precision: intervalFigures(precision),
    roc_auc: intervalFigures(intervalOf('rocAuc', logOdds, labels, policy.bootstrap, weights)),
    lift: rounded(precision.value / base),
    log_loss: rounded(logLoss(probabilities, labels, weights)),
    brier: rounded(brier(probabilities, labels, weights)),
    calibration_error: rounded(reliabilityOf(logOdds, labels, 10, weights).expectedCalibrationError),
    card_precision: policy.card_precision_k.map((k) => ({
      k,
      value: asked
        ? rounded(
            cardPrecisionAt(
              k,
              Float64Array.from(cards, (row) => logOdds[row] ?? 0),
              Uint8Array.from(cards, (row) => labels[row] ?? 0),
              Int32Array.from(cards, (row) => groups[row] ?? 0),
              days,
            ),
          )
        : null,
    })),
    alerts: policy.alert_shares_ppm.map((ppm) => {
      const { alerts, caught, last } = looked(ranking, labels, ppm / 1e6, weights);
      return {
        share_ppm: ppm,
        alerts: rounded(alerts),
        caught: rounded(caught),
        precision: alerts === 0 ? null : rounded(caught / alerts),
        recall: frauds === 0 ? null : rounded(caught / frauds),
        score_e6: last === null ? null : logisticE6(logOdds[last] ?? 0),
      };
    }),
  };
}

function cardRows(groups: Int32Array): Int32Array {
  return Int32Array.from(groups.keys()).filter((row) => (groups[row] ?? -1) >= 0);
}

export function differenceFigures(
  candidate: Float64Array,
  active: Float64Array,
  { matrix }: PartRows,
  { bootstrap }: FactoryPolicy,
): QualityFigures['roc_auc'] {
  return intervalFigures(differenceOf('averagePrecision', candidate, active, matrix.labels, bootstrap, matrix.weights));
}

export function curveFigures(
  logOdds: Float64Array,
  { matrix, amounts }: PartRows,
  { costs }: FactoryPolicy,
): Pick<EvalReport, 'curves' | 'cheapest'> {
  const { labels, weights } = matrix;
  const frauds = countOf(labels, weights);
  const others = totalOf(labels.length, weights) - frauds;
  const points = thresholdCurve(logOdds, labels, CURVE_POINTS, weights);
  const lost = amounts.map((amount) => (Number.isNaN(amount) ? costs.missed_fraud_minor : amount));
  const cost = costCurve(logOdds, labels, lost, costs.alert_minor, CURVE_POINTS, weights);
  const costPoint = ({ threshold, alerts, missed, cost: whole }: CostPoint): EvalReport['cheapest'] => ({
    score_e6: threshold === null ? null : logisticE6(threshold),
    alerts: rounded(alerts),
    missed_minor: rounded(missed),
    cost_minor: rounded(whole),
  });
  return {
    curves: {
      precision_recall: points.map(({ precision, recall }) => ({
        recall: rounded(recall),
        precision: rounded(precision),
      })),
      roc: points.map(({ alerts, caught, recall }) => ({
        false_positive_share: rounded((alerts - caught) / others),
        recall: rounded(recall),
      })),
      reliability: reliabilityOf(logOdds, labels, 10, weights).bins.map(({ rows, meanProbability, fraudShare }) => ({
        rows: rounded(rows),
        said: rounded(meanProbability),
        was: rounded(fraudShare),
      })),
      cost: cost.points.map(costPoint),
    },
    cheapest: costPoint(cost.cheapest),
  };
}

export function sliceFigures(
  logOdds: Float64Array,
  rows: PartRows,
  { slices }: FactoryPolicy,
): readonly SliceFigures[] {
  const { labels, weights } = rows.matrix;
  return slices.by.flatMap((by) =>
    sliceQualities(slicesOf(by, rows, slices.amount_bands_minor), logOdds, labels, weights)
      .slice(0, SLICES_MAX)
      .map(({ slice, rows: count, frauds, averagePrecision, rocAuc, meanProbability, fraudShare }) => ({
        by,
        slice,
        rows: count,
        frauds,
        average_precision: roundedOrNull(averagePrecision),
        roc_auc: roundedOrNull(rocAuc),
        mean_score: rounded(meanProbability),
        fraud_share: rounded(fraudShare),
        judged: frauds >= slices.frauds_min && frauds < count,
      })),
  );
}

function slicesOf(
  by: SliceName,
  { amounts, currency, labelState, split, micros }: PartRows,
  bands: readonly number[],
): readonly string[] {
  switch (by) {
    case 'amount':
      return Array.from(amounts, (amount) => bandOf(amount, bands));
    case 'currency':
      return currency;
    case 'label_state':
      return labelState;
    case 'split':
      return split;
    case 'week':
      return Array.from(micros, weekOf);
  }
}

/** `1000 to 4999`, in minor units. */
function bandOf(amount: number, bands: readonly number[]): string {
  if (Number.isNaN(amount)) return 'none';
  const at = bands.findIndex((end) => amount < end);
  const [from, to] = [at < 0 ? bands.at(-1) : bands[at - 1], at < 0 ? undefined : bands[at]];
  if (from === undefined) return to === undefined ? 'all' : `below ${to}`;
  return to === undefined ? `${from} and more` : `${from} to ${to - 1}`;
}

/** The Monday that its week begins with. */
function weekOf(micros: number): string {
  const day = Math.floor(micros / 1e6 / DAY_S);
  // 1 January 1970 was a Thursday.
  const monday = day - ((((day + 3) % 7) + 7) % 7);
  return fromEpochMicros(monday * DAY_S * 1e6).slice(0, 10);
}

/** How far values have moved: later ones beside those of training. */
export function driftFigures(
  then: { readonly rows: PartRows; readonly logOdds: Float64Array },
  now: { readonly rows: PartRows; readonly logOdds: Float64Array },
): NonNullable<EvalReport['drift']> {
  const psi = (before: Float64Array, after: Float64Array): number => rounded(stabilityIndex(spreadOf(before), after));
  return {
    score_psi: psi(then.logOdds, now.logOdds),
    inputs: then.rows.matrix.names.map((input, at) => ({
      input,
      psi: psi(columnOf(then.rows, at), columnOf(now.rows, at)),
    })),
  };
}

function columnOf({ matrix }: PartRows, at: number): Float64Array {
  return matrix.columns[at] ?? new Float64Array(0);
}

/** The rows of the one, then those of the other. */
export function joinedRows(one: PartRows, other: PartRows): PartRows {
  const matrix = joined(one.matrix, other.matrix);
  const both = (first: Float64Array, second: Float64Array): Float64Array => Float64Array.from([...first, ...second]);
  return {
    matrix: { ...matrix, groups: matrix.groups ?? one.matrix.groups, seconds: matrix.seconds ?? one.matrix.seconds },
    amounts: both(one.amounts, other.amounts),
    micros: both(one.micros, other.micros),
    currency: [...one.currency, ...other.currency],
    labelState: [...one.labelState, ...other.labelState],
    split: [...one.split, ...other.split],
  };
}

/** Rows from one place to another, before the second. */
export function sliceOfRows(rows: PartRows, from: number, to: number): PartRows {
  const { matrix } = rows;
  return {
    matrix: {
      names: matrix.names,
      columns: matrix.columns.map((column) => column.subarray(from, to)),
      labels: matrix.labels.subarray(from, to),
      ...(matrix.weights === undefined ? {} : { weights: matrix.weights.subarray(from, to) }),
      groups: matrix.groups.subarray(from, to),
      seconds: matrix.seconds.subarray(from, to),
    },
    amounts: rows.amounts.subarray(from, to),
    micros: rows.micros.subarray(from, to),
    currency: rows.currency.slice(from, to),
    labelState: rows.labelState.slice(from, to),
    split: rows.split.slice(from, to),
  };
}
