import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { factoryPolicy } from '../../../../test/support/learning-dataset.js';
import type { JsonValue } from '../../../rails/canonical-json.js';
import { DEFAULT_LOGISTIC } from '../../../rails/learning/logistic.js';
import { DEFAULT_TREES } from '../../../rails/learning/tree-settings.js';
import { policyDigest } from '../../../rails/policy-rev.js';
import { validatorOf } from '../../../rails/validator.js';
import { FACTORY_POLICY, type FactoryPolicy, FactoryPolicySchema } from './gate-policy.schema.js';
import {
  DEFAULT_RECIPE,
  logisticSettingsOf,
  type Recipe,
  recipeDigest,
  RecipeSchema,
  treeSettingsOf,
} from './recipe.schema.js';

const policies = validatorOf(FactoryPolicySchema, 'the policy');
const recipes = validatorOf(RecipeSchema, 'the recipe');
const faultsOf = (body: FactoryPolicy) => (FACTORY_POLICY.check?.(body as never) ?? []).map(({ pointer }) => pointer);

describe('the policy of the factory', () => {
  it.each(['local', 'dev', 'prod'])('that is shipped for %s is sound and sealed', (profile) => {
    const file = join(process.cwd(), 'profiles', profile, 'policy', 'mf.factory.yaml');
    const { content_digest, ...content } = parse(readFileSync(file, 'utf8')) as {
      content_digest: string;
      policy_id: string;
      revision: number;
      body: JsonValue;
    };
    expect(policyDigest(content)).toBe(content_digest);
    expect(faultsOf(policies.demand(content.body))).toEqual([]);
  });

  it('names what does not rise, and a gap that no dataset can keep', () => {
    const { body } = factoryPolicy();
    expect(faultsOf({ ...body, alert_shares_ppm: [5, 5] })).toEqual(['/alert_shares_ppm']);
    expect(faultsOf({ ...body, card_precision_k: [10, 5] })).toEqual(['/card_precision_k']);
    expect(faultsOf({ ...body, slices: { ...body.slices, amount_bands_minor: [2, 1] } })).toEqual([
      '/slices/amount_bands_minor',
    ]);
    expect(faultsOf({ ...body, leakage: { ...body.leakage, gap_hours_min: 10_000 } })).toEqual([
      '/leakage/gap_hours_min',
    ]);
    // The most permissive gates are those of the laptop, and production asks no less than a rehearsal.
    const [local, dev, prod] = ['local', 'dev', 'prod'].map((profile) => factoryPolicy({}, profile).body.thresholds);
    expect([(local?.lift_min ?? 9) <= (dev?.lift_min ?? 0), (dev?.lift_min ?? 9) <= (prod?.lift_min ?? 0)]).toEqual([
      true,
      true,
    ]);
  });
});

describe('a recipe', () => {
  it('that says nothing of its learner is what the learner does by itself', () => {
    expect(recipes.demand(DEFAULT_RECIPE)).toBe(DEFAULT_RECIPE);
    expect(treeSettingsOf(DEFAULT_RECIPE)).toEqual({ ...DEFAULT_TREES, seed: DEFAULT_RECIPE.seed });
    expect(logisticSettingsOf({ ...DEFAULT_RECIPE, learner: { kind: 'logistic' } })).toEqual(DEFAULT_LOGISTIC);
  });

  it('means each of its settings', () => {
    const learner = {
      kind: 'boosted_trees' as const,
      ...{ rounds: 7, learning_rate: 0.3, max_depth: 3, max_leaves: 5, min_child_weight: 2, min_rows_per_leaf: 9 },
      ...{
        l2: 4,
        min_gain: 0.5,
        row_share: 0.6,
        column_share: 0.7,
        columns_per_node: 0.8,
        max_bins: 32,
        fraud_weight: 3,
      },
      ...{ bags: 2, stop_after: 11 },
    };
    const recipe: Recipe = { ...DEFAULT_RECIPE, seed: 5, learner };
    expect(treeSettingsOf(recipes.demand(recipe), { 'features.a': 1 })).toEqual({
      ...{ seed: 5, rounds: 7, learningRate: 0.3, maxDepth: 3, maxLeaves: 5, minChildWeight: 2, minRowsPerLeaf: 9 },
      ...{ l2: 4, minGain: 0.5, rowShare: 0.6, columnShare: 0.7, columnsPerNode: 0.8, maxBins: 32, fraudWeight: 3 },
      ...{ bags: 2, stopAfter: 11, monotone: { 'features.a': 1 } },
    });
    const logistic: Recipe = { ...DEFAULT_RECIPE, learner: { kind: 'logistic', penalty: 3, steps: 9, digits: 5 } };
    expect(logisticSettingsOf(logistic, { x: 4 })).toEqual({ penalty: 3, steps: 9, digits: 5, caps: { x: 4 } });
  });

  it('has another digest with every change, and refuses what it does not know', () => {
    const others: Recipe[] = [
      { ...DEFAULT_RECIPE, seed: 2 },
      { ...DEFAULT_RECIPE, calibration: false },
      { ...DEFAULT_RECIPE, bundle: { ...DEFAULT_RECIPE.bundle, bundle_version: 2 } },
    ];
    expect(new Set([DEFAULT_RECIPE, ...others].map(recipeDigest)).size).toBe(4);
    expect(recipes.check({ ...DEFAULT_RECIPE, learner: { kind: 'forest' } }).ok).toBe(false);
    expect(recipes.check({ ...DEFAULT_RECIPE, extra: 1 }).ok).toBe(false);
  });
});
