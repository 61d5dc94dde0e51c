import { invalid } from './matrix.js';
import { SeededRandom } from './random.js';
import { type Quality, qualityOf, rankingOf } from './ranking.js';

export interface Interval {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

export interface BootstrapPlan {
  readonly seed: number;
  readonly resamples: number;
  /** How often the true value lies within, if the rows are drawn anew: 0.95. */
  readonly confidence: number;
}

export const DEFAULT_BOOTSTRAP: BootstrapPlan = { seed: 1, resamples: 1_000, confidence: 0.95 };

export type QualityName = keyof Quality;

/**
 * Percentile interval of a figure over resamples of the rows, drawn with replacement. Rows count as independent: where frauds come in series (one card,
 * one terminal) the true interval is wider.
 *
 * @param weights how often each row counts when it is drawn; once where it is not said
 */
export function intervalOf(
  what: QualityName,
  scores: Float64Array,
  labels: Uint8Array,
  plan: BootstrapPlan = DEFAULT_BOOTSTRAP,
  weights?: Float64Array,
): Interval {
  const ranking = rankingOf(scores);
  return percentiles(labels, plan, weights, (counts) => qualityOf(ranking, labels, counts)[what]);
}

/** The same of the difference between two models on the same rows (one − other): both are judged on each resample. */
export function differenceOf(
  what: QualityName,
  one: Float64Array,
  other: Float64Array,
  labels: Uint8Array,
  plan: BootstrapPlan = DEFAULT_BOOTSTRAP,
  weights?: Float64Array,
): Interval {
  const [first, second] = [rankingOf(one), rankingOf(other)];
  return percentiles(labels, plan, weights, (counts) => {
    const ours = qualityOf(first, labels, counts)[what];
    const theirs = qualityOf(second, labels, counts)[what];
    return ours === null || theirs === null ? null : ours - theirs;
  });
}

function percentiles(
  labels: Uint8Array,
  { seed, resamples, confidence }: BootstrapPlan,
  weights: Float64Array | undefined,
  figure: (counts?: Float64Array) => number | null,
): Interval {
  const value = figure(weights);
  if (value === null) throw invalid('a figure of these rows is not defined: both kinds of labels are needed');
  const random = new SeededRandom(seed);
  const counts = new Float64Array(labels.length);
  const found: number[] = [];
  for (let resample = 0; resample < resamples; resample += 1) {
    counts.fill(0);
    for (let draw = 0; draw < labels.length; draw += 1) {
      const row = random.below(labels.length);
      counts[row] = (counts[row] ?? 0) + (weights?.[row] ?? 1);
    }
    const each = figure(counts);
    // A resample without any fraud says nothing.
    if (each !== null) found.push(each);
  }
  found.sort((a, b) => a - b);
  const tail = (1 - confidence) / 2;
  return { value, low: quantile(found, tail), high: quantile(found, 1 - tail) };
}

/** Between two places of a rising list: as far along the straight line between them. */
function quantile(rising: readonly number[], share: number): number {
  const place = share * (rising.length - 1);
  const low = rising[Math.floor(place)] ?? Number.NaN;
  const high = rising[Math.ceil(place)] ?? Number.NaN;
  return low + (high - low) * (place - Math.floor(place));
}
