import { ProbityError } from '../errors/probity-error.js';
import { type Surroundings, trainTrees } from './gradient-boosting.js';
import type { TrainingMatrix } from './matrix.js';
import { logOddsOf } from './predict.js';
import { SeededRandom } from './random.js';
import { qualityOf, rankingOf } from './ranking.js';
import { DEFAULT_TREES, type TreeSettings } from './tree-settings.js';

export interface SearchBudget {
  readonly seed: number;
  readonly trials: number;
}

export interface Trial {
  readonly settings: TreeSettings;
  /** On the later rows, which the trial has not learnt from; by weight. */
  readonly averagePrecision: number;
}

export interface SearchResult {
  /** In the order in which they were tried; the first one is of the settings that were given. */
  readonly trials: readonly Trial[];
  readonly best: Trial;
}

export interface SearchSurroundings extends Pick<Surroundings, 'stopped'> {
  /** Asked before each trial but the first: what was tried so far is then all there is. */
  readonly enough?: () => boolean;
  readonly observe?: (trial: Trial, number: number) => void;
}

/**
 * Tries settings drawn by chance from fixed ranges, trains each on the one part of the rows and judges it on the later ones. The best of many trials looks
 * better on those rows than it is: what it is worth must be measured on others, later still.
 *
 * @param around what every trial has in common (constraints, weights, bags); the first trial is of exactly these settings
 */
export function searchTrees(
  { train, later }: { readonly train: TrainingMatrix; readonly later: TrainingMatrix },
  { seed, trials }: SearchBudget,
  around: TreeSettings = DEFAULT_TREES,
  { observe, stopped, enough }: SearchSurroundings = {},
): SearchResult {
  if (!(Number.isInteger(trials) && trials >= 1 && trials <= 1_000))
    throw new ProbityError('LEARNING_SETTINGS_INVALID', `trials is a whole number from 1 to 1,000, not ${trials}`);
  const random = new SeededRandom(seed);
  const found: Trial[] = [];
  for (let trial = 0; trial < trials && !(trial > 0 && enough?.() === true); trial += 1) {
    const settings = trial === 0 ? around : drawn(around, random);
    const { model } = trainTrees(train, settings, stopped === undefined ? {} : { stopped });
    const ranking = rankingOf(logOddsOf(model, later.columns, later.labels.length));
    const { averagePrecision: precision } = qualityOf(ranking, later.labels, later.weights);
    if (precision === null)
      throw new ProbityError(
        'LEARNING_ROWS_INVALID',
        'there is no fraud among the later rows, so no trial can be judged',
      );
    const each = { settings, averagePrecision: precision };
    found.push(each);
    observe?.(each, trial);
  }
  return {
    trials: found,
    best: found.reduce((best, each) => (each.averagePrecision > best.averagePrecision ? each : best)),
  };
}

function drawn(around: TreeSettings, random: SeededRandom): TreeSettings {
  const oneOf = <Value>(values: readonly [Value, ...Value[]]): Value =>
    values[random.below(values.length)] ?? values[0];
  const maxDepth = oneOf([2, 3, 4, 5, 6, 8]);
  return {
    ...around,
    rounds: Math.min(oneOf([50, 100, 150, 200]), Math.floor(1_000 / around.bags)),
    learningRate: oneOf([0.02, 0.03, 0.05, 0.08, 0.1, 0.2]),
    maxDepth,
    maxLeaves: Math.min(oneOf([4, 8, 16, 32, 64]), 2 ** maxDepth),
    minChildWeight: oneOf([0.1, 0.3, 1, 3, 10]),
    l2: oneOf([0.1, 1, 3, 10, 30]),
    rowShare: oneOf([0.3, 0.5, 0.7, 1]),
    columnsPerNode: oneOf([0.3, 0.5, 0.7, 1]),
  };
}
