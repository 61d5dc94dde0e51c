import { Type } from '@sinclair/typebox';
import { digestCanonical } from '../../../rails/canonical-json.js';
import type { Digest } from '../../../rails/digest.js';
import { ReasonCodeSchema } from '../../../rails/events/decision.schema.js';
import { DEFAULT_LOGISTIC, type LogisticSettings } from '../../../rails/learning/logistic.js';
import { DEFAULT_TREES, type TreeSettings } from '../../../rails/learning/tree-settings.js';
import { closed, type Sealed } from '../../../rails/schema.js';

/** What is left out of the settings is what the learner does by itself; `settingsOf` says what that is. */
const TreesSchema = closed({
  kind: Type.Literal('boosted_trees'),
  rounds: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000 })),
  learning_rate: Type.Optional(Type.Number({ minimum: 1e-4, maximum: 1 })),
  max_depth: Type.Optional(Type.Integer({ minimum: 1, maximum: 30 })),
  max_leaves: Type.Optional(Type.Integer({ minimum: 2, maximum: 2_048 })),
  /** The least Σ p(1 − p) on each side of a split. */
  min_child_weight: Type.Optional(Type.Number({ minimum: 0, maximum: 1e9 })),
  /** The least number of rows on each side of a split. */
  min_rows_per_leaf: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000 })),
  l2: Type.Optional(Type.Number({ minimum: 0, maximum: 1e9 })),
  min_gain: Type.Optional(Type.Number({ minimum: 0, maximum: 1e9 })),
  row_share: Type.Optional(Type.Number({ minimum: 0.01, maximum: 1 })),
  column_share: Type.Optional(Type.Number({ minimum: 0.01, maximum: 1 })),
  columns_per_node: Type.Optional(Type.Number({ minimum: 0.01, maximum: 1 })),
  max_bins: Type.Optional(Type.Integer({ minimum: 2, maximum: 255 })),
  /** How much more a fraud counts than its weight says. */
  fraud_weight: Type.Optional(Type.Number({ minimum: 1e-3, maximum: 1e5 })),
  bags: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
  stop_after: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000 })),
});

const LogisticSchema = closed({
  kind: Type.Literal('logistic'),
  penalty: Type.Optional(Type.Number({ minimum: 0, maximum: 1e9 })),
  steps: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000 })),
  /** Means, deviations and weights keep so many digits. */
  digits: Type.Optional(Type.Integer({ minimum: 3, maximum: 17 })),
});

/** An input of a model, as a bundle names it: `features.card_count_1h`, `event.amount_minor`. */
const RecipeInputSchema = closed({
  source: Type.Union([Type.Literal('features'), Type.Literal('event')]),
  name: Type.String({ pattern: '^[a-z][a-z0-9_]{0,79}$' }),
  /** The reason that it gives; its name in capitals where nothing is said. */
  reason_code: Type.Optional(ReasonCodeSchema),
  /** Of a logistic regression: what is above it counts as much. In the unit that the model sees. */
  cap: Type.Optional(Type.Number()),
  /** Of trees: the score never falls as the input rises, or never rises. */
  monotone: Type.Optional(Type.Union([Type.Literal('rising'), Type.Literal('falling')])),
});
export type RecipeInput = Sealed<typeof RecipeInputSchema>;

export const RecipeSchema = closed(
  {
    /** What the bundle that comes out is called; another version of a bundle is another recipe. */
    bundle: closed({
      bundle_id: Type.String({ pattern: '^[a-z][a-z0-9._-]{0,99}$' }),
      bundle_version: Type.Integer({ minimum: 1 }),
    }),
    learner: Type.Union([TreesSchema, LogisticSchema]),
    /** `all`: every feature of the datasets, and the amount of the payment where no feature already is it. */
    inputs: Type.Union([Type.Literal('all'), Type.Array(RecipeInputSchema, { minItems: 1, maxItems: 500 })]),
    /** Whether scores are made into probabilities on rows that were not learnt from (Platt). */
    calibration: Type.Boolean(),
    seed: Type.Integer({ minimum: 0, maximum: 4_294_967_295 }),
    /**
     * The last rows of training by time, in millionths of them: they decide when trees stop, which trial is best, and the calibration; what
     * comes out is learnt from them as well. Where the dataset has a split called validation, that is taken instead.
     */
    later_share_ppm: Type.Integer({ minimum: 10_000, maximum: 500_000 }),
    /** Tries settings within a budget; whichever ends first. Of trees alone. */
    search: Type.Optional(
      closed({
        trials: Type.Integer({ minimum: 1, maximum: 1_000 }),
        seconds: Type.Integer({ minimum: 1, maximum: 86_400 }),
      }),
    ),
  },
  { description: 'How a model is made of a dataset.' },
);
export type Recipe = Sealed<typeof RecipeSchema>;

export const DEFAULT_RECIPE: Recipe = {
  bundle: { bundle_id: 'trained-trees', bundle_version: 1 },
  learner: { kind: 'boosted_trees' },
  inputs: 'all',
  calibration: true,
  seed: 1,
  later_share_ppm: 200_000,
};

export function recipeDigest(recipe: Recipe): Digest {
  return digestCanonical(recipe);
}

/** The settings of trees that a recipe comes to, but for monotone inputs, which are known once the inputs are. */
export function treeSettingsOf(recipe: Recipe, monotone: TreeSettings['monotone'] = {}): TreeSettings {
  const own: Partial<Extract<Recipe['learner'], { readonly kind: 'boosted_trees' }>> =
    recipe.learner.kind === 'boosted_trees' ? recipe.learner : {};
  const standard = DEFAULT_TREES;
  return {
    seed: recipe.seed,
    rounds: own.rounds ?? standard.rounds,
    learningRate: own.learning_rate ?? standard.learningRate,
    maxDepth: own.max_depth ?? standard.maxDepth,
    maxLeaves: own.max_leaves ?? standard.maxLeaves,
    minChildWeight: own.min_child_weight ?? standard.minChildWeight,
    minRowsPerLeaf: own.min_rows_per_leaf ?? standard.minRowsPerLeaf,
    l2: own.l2 ?? standard.l2,
    minGain: own.min_gain ?? standard.minGain,
    rowShare: own.row_share ?? standard.rowShare,
    columnShare: own.column_share ?? standard.columnShare,
    columnsPerNode: own.columns_per_node ?? standard.columnsPerNode,
    maxBins: own.max_bins ?? standard.maxBins,
    fraudWeight: own.fraud_weight ?? standard.fraudWeight,
    bags: own.bags ?? standard.bags,
    monotone,
    stopAfter: own.stop_after ?? standard.stopAfter,
  };
}

/** The settings of a logistic regression that a recipe comes to. @param caps by name of column */
export function logisticSettingsOf(recipe: Recipe, caps: LogisticSettings['caps'] = {}): LogisticSettings {
  const own: Partial<Extract<Recipe['learner'], { readonly kind: 'logistic' }>> =
    recipe.learner.kind === 'logistic' ? recipe.learner : {};
  return {
    penalty: own.penalty ?? DEFAULT_LOGISTIC.penalty,
    steps: own.steps ?? DEFAULT_LOGISTIC.steps,
    caps,
    ...(own.digits === undefined ? {} : { digits: own.digits }),
  };
}
