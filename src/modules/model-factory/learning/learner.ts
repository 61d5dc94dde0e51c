import { ProbityError } from '../../../rails/errors/probity-error.js';
import { calibrated, type Platt, plattOf } from '../../../rails/learning/calibration.js';
import { type Progress, trainTrees } from '../../../rails/learning/gradient-boosting.js';
import { trainLogistic } from '../../../rails/learning/logistic.js';
import { joined, type TrainingMatrix } from '../../../rails/learning/matrix.js';
import { logOddsOf } from '../../../rails/learning/predict.js';
import { countOf } from '../../../rails/learning/ranking.js';
import { searchTrees, type Trial } from '../../../rails/learning/search.js';
import type { TreeSettings } from '../../../rails/learning/tree-settings.js';
import {
  type Bundle,
  bundleDigest,
  bundleFaults,
  BundleSchema,
  type LinearModel,
  type TreeModel,
} from '../../../rails/model/bundle.schema.js';
import type { Digest } from '../../../rails/digest.js';
import { validatorOf } from '../../../rails/validator.js';
import type { ResolvedInput } from './inputs.js';
import { logisticSettingsOf, type Recipe, recipeDigest, treeSettingsOf } from './recipe.schema.js';

/** What is learnt from and what is held back, with the inputs in the order of the columns. */
export interface Ground {
  readonly recipe: Recipe;
  readonly inputs: readonly ResolvedInput[];
  readonly train: TrainingMatrix;
  readonly later: TrainingMatrix;
  /** The digest of the manifest that the rows are of. */
  readonly dataset: Digest;
}

export interface SearchRecord {
  readonly trials: readonly Trial[];
  readonly best: number;
  readonly endedBy: 'trials' | 'seconds';
}

export interface Trained {
  readonly bundle: Bundle;
  readonly digest: Digest;
  /** Of trees: what the splits on each input gained. */
  readonly gain: Float64Array | null;
  /** Trees that were kept, bag by bag. */
  readonly trees: readonly number[];
  readonly platt: Platt | null;
}

const bundles = validatorOf(BundleSchema, 'the bundle');

/** The settings that trees begin with: those of the recipe, with its constraints. */
export function settingsOf({ recipe, inputs }: Pick<Ground, 'recipe' | 'inputs'>): TreeSettings {
  const monotone = Object.fromEntries(
    inputs.flatMap(({ source, name, monotone: sign }) =>
      sign === undefined ? [] : [[`${source}.${name}`, sign === 'rising' ? (1 as const) : (-1 as const)]],
    ),
  );
  return treeSettingsOf(recipe, monotone);
}

/**
 * Looks for better settings within the budget of the recipe. How many trials a number of seconds allows differs from machine to machine, so each trial is
 * on record; what follows is trained by settings, and comes out the same anywhere.
 */
export function searched(
  { recipe, inputs, train, later }: Ground,
  monotonicMs: () => number,
  observe: (done: number) => void,
): SearchRecord | null {
  if (recipe.search === undefined) return null;
  const { trials, seconds } = recipe.search;
  const until = monotonicMs() + seconds * 1_000;
  const found = searchTrees({ train, later }, { seed: recipe.seed, trials }, settingsOf({ recipe, inputs }), {
    enough: () => monotonicMs() >= until,
    observe: (_, number) => observe(number + 1),
  });
  return {
    trials: found.trials,
    best: found.trials.indexOf(found.best),
    endedBy: found.trials.length < trials ? 'seconds' : 'trials',
  };
}

/**
 * Trains and calibrates: the same ground and settings give the same bundle, byte for byte. The rows held back say how many trees there are and how scores become
 * probabilities; the model of the bundle is then learnt from all rows, for the latest are those most like what comes.
 */
export function trainedBundle(
  ground: Ground,
  settings: TreeSettings,
  observe: (progress: Pick<Progress, 'bag' | 'round' | 'of'>) => void = () => undefined,
): Trained {
  const { recipe, train, later } = ground;
  const all = joined(train, later);
  const held = modelOf(ground, train, settings, { later, observe });
  const platt = recipe.calibration
    ? plattOf(logOddsOf(held.model, later.columns, later.labels.length), later.labels, later.weights)
    : null;
  const mean = held.trees.reduce((sum, trees) => sum + trees, 0) / Math.max(1, held.trees.length);
  const rounds = Math.max(1, Math.round(mean));
  const { model, gain, trees } = modelOf(ground, all, { ...settings, rounds }, { observe });
  const bundle = bundleOf(ground, all.labels, platt === null ? model : calibrated(model, platt));
  return { bundle, digest: bundleDigest(bundle), gain, trees, platt };
}

function modelOf(
  { recipe, inputs }: Ground,
  rows: TrainingMatrix,
  settings: TreeSettings,
  around: Pick<Parameters<typeof trainTrees>[2] & object, 'later' | 'observe'>,
): Pick<Trained, 'gain' | 'trees'> & { readonly model: LinearModel | TreeModel } {
  const named = inputs.map(({ source, name, reason_code }) => ({ source, name, reason_code }));
  if (recipe.learner.kind === 'logistic') {
    const caps = Object.fromEntries(
      inputs.flatMap(({ source, name, cap }) => (cap === undefined ? [] : [[`${source}.${name}`, cap]])),
    );
    const model = trainLogistic(rows, logisticSettingsOf(recipe, caps), { inputs: named });
    return { model, gain: null, trees: [] };
  }
  const { model, gain, rounds } = trainTrees(rows, settings, { ...around, inputs: named });
  return { model, gain, trees: rounds };
}

function bundleOf({ recipe, inputs, dataset }: Ground, labels: Uint8Array, model: LinearModel | TreeModel): Bundle {
  const groups = new Map(inputs.flatMap(({ group }) => (group === undefined ? [] : [[group.name, group]])));
  const bundle = bundles.check({
    ...recipe.bundle,
    compatibility: { feature_groups: [...groups.values()], input_contract: 'transaction.v1' },
    lineage: {
      trained_on: `the dataset of the manifest ${dataset}: ${labels.length} rows, ${countOf(labels)} of them fraud`,
      recipe: `recipe ${recipeDigest(recipe)}, seed ${recipe.seed}`,
      dataset_digest: dataset,
    },
    model,
  });
  if (!bundle.ok)
    throw new ProbityError('LEARNING_SETTINGS_INVALID', `the bundle${bundle.fault.at} ${bundle.fault.says}`);
  const [fault] = bundleFaults(bundle.value);
  if (fault !== undefined)
    throw new ProbityError('LEARNING_SETTINGS_INVALID', `the bundle${fault.pointer}: ${fault.sentence}`);
  return bundle.value;
}
