import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import {
  artifactsOf,
  NO_GRAPH,
  postureOf,
  rules,
  sealed,
  snapshotAfter,
  triggerOf,
} from '../../../../test/support/decision-engine.js';
import {
  DEFINITIONS,
  factoryPolicy,
  learningTask,
  type PlantedDataset,
  plantedDataset,
} from '../../../../test/support/learning-dataset.js';
import { canonicalJson } from '../../../rails/canonical-json.js';
import { unrestricted } from '../../../rails/capability-mask.js';
import { DecisionEngine } from '../../../rails/decision/engine.js';
import type { FeaturesUse } from '../../../rails/decision/inputs.js';
import { digestBytes, digestText } from '../../../rails/digest.js';
import { trainTrees } from '../../../rails/learning/gradient-boosting.js';
import { joined } from '../../../rails/learning/matrix.js';
import { logOddsOf } from '../../../rails/learning/predict.js';
import { logisticE6 } from '../../../rails/model/exp.js';
import type { Bundle } from '../../../rails/model/bundle.schema.js';
import { DatasetFile } from './dataset-file.js';
import { demandInputs } from './inputs.js';
import { type LearningGround, learn } from './learn.js';
import { trainedBundle } from './learner.js';
import type { LearningTask } from './learning-task.js';
import { readRows } from './reading.js';
import { DEFAULT_RECIPE, treeSettingsOf } from './recipe.schema.js';

const SPLITS = [0.6, 0.2, 0.2] as const;
const ground: LearningGround = {
  monotonicMs: () => performance.now(),
  onProgress: () => undefined,
  scoreExternal: () => Promise.reject(new Error('no ONNX model is among these tests')),
};
const brief = (change: Parameters<typeof factoryPolicy>[0] = {}) =>
  factoryPolicy({
    bootstrap: { resamples: 50, confidence: 0.95, seed: 1 },
    determinism: { retrain: false },
    ...change,
  });
const recipe = { ...DEFAULT_RECIPE, learner: { kind: 'boosted_trees' as const, rounds: 14 } };

async function learnt(planted: Partial<PlantedDataset>, change: Partial<LearningTask> = {}, around = ground) {
  const dataset = await plantedDataset({ rows: 3_000, seed: 1, splits: SPLITS, ...planted });
  return learn(learningTask([dataset], { recipe, policy: brief(), ...change }), around);
}

describe('a training', () => {
  it.each([1, 2, 3])(
    'passes its gates on a known signal, and fails them on shuffled labels (seed %i)',
    async (seed) => {
      const known = await learnt({ seed });
      expect(known.receipt.reason_codes).toEqual([]);
      expect(known.receipt.result).toBe('PASS');
      const shuffled = await learnt({ seed, shuffled: true });
      expect(shuffled.receipt.result).toBe('FAIL');
      expect(shuffled.receipt.reason_codes).toEqual(expect.arrayContaining(['GATE_LIFT', 'GATE_ROC_AUC']));
      expect(shuffled.receipt.bundle_digest).toBe(shuffled.bundle_digest);
      expect(shuffled.report.quality.lift).toBeLessThan(2);
      expect(known.report.quality.lift).toBeGreaterThan(3);
    },
  );

  it('of a logistic regression likewise', async () => {
    const logistic = { ...recipe, learner: { kind: 'logistic' as const, digits: 6 } };
    const known = await learnt({}, { recipe: logistic });
    expect([known.receipt.result, known.bundle.model.format]).toEqual(['PASS', 'probity.linear.v1']);
    expect((await learnt({ shuffled: true }, { recipe: logistic })).receipt.result).toBe('FAIL');
  });

  it('comes out the same, byte for byte, whoever does it again', async () => {
    const policy = brief({ determinism: { retrain: true } });
    const [one, other] = [await learnt({}, { policy }), await learnt({}, { policy })];
    expect(other.bundle_digest).toBe(one.bundle_digest);
    expect(canonicalJson(other.report as never)).toBe(canonicalJson(one.report));
    expect([other.html, other.receipt]).toEqual([one.html, one.receipt]);
    expect(one.report.retrained).toEqual({ digest: one.bundle_digest, same: true });
    expect((await learnt({}, { policy, recipe: { ...recipe, seed: 2, inputs: 'all' } })).bundle_digest).not.toBe(
      one.bundle_digest,
    );
  });

  it('that comes out otherwise the second time fails, and says so', async () => {
    let seed = 0;
    const train: typeof trainedBundle = (around, settings) =>
      trainedBundle(around, { ...settings, rowShare: 0.5, seed: (seed += 1) });
    const { receipt, report } = await learnt(
      {},
      { policy: brief({ determinism: { retrain: true } }) },
      { ...ground, train },
    );
    expect(receipt.result).toBe('FAIL');
    expect(receipt.reason_codes).toEqual(['GATE_DETERMINISM', 'NONDETERMINISM_GUARD_TRIGGERED']);
    expect(report.retrained?.same).toBe(false);
  });

  it('searches within its budget and records each trial; the best of them is trained', async () => {
    const searching = { ...recipe, search: { trials: 3, seconds: 600 } };
    const { report } = await learnt({ rows: 3_000 }, { recipe: searching });
    expect(report.search).toMatchObject({ ended_by: 'trials', trials: [{}, {}, {}] });
    expect(report.learner?.settings).toEqual(report.search?.trials[report.search.best]?.settings);
    // A clock that has run out after the first trial.
    let now = 0;
    const late = await learnt(
      { rows: 3_000 },
      { recipe: searching },
      { ...ground, monotonicMs: () => (now += 700_000) },
    );
    expect(late.report.search).toMatchObject({ ended_by: 'seconds', best: 0 });
    expect(late.report.search?.trials).toHaveLength(1);
    const policy = brief({ search: { trials_max: 2, seconds_max: 600 } });
    await expect(learnt({}, { recipe: searching, policy })).rejects.toThrow(/MF_RESOURCE_EXHAUSTED.*3 trials/);
  });

  it('holds the constraints of its recipe, and names the reasons that it says', async () => {
    const inputs = [
      { source: 'features' as const, name: 'trend', monotone: 'falling' as const, reason_code: 'TREND_LOW' },
      { source: 'event' as const, name: 'amount_minor' },
    ];
    const { bundle } = await learnt({}, { recipe: { ...recipe, inputs } });
    expect(bundle.model.inputs).toEqual([
      { source: 'features', name: 'trend', reason_code: 'TREND_LOW' },
      { source: 'event', name: 'amount_minor', reason_code: 'AMOUNT_MINOR' },
    ]);
    expect(bundle.compatibility.feature_groups).toEqual([{ name: 'core_signal', version: 1 }]);
    if (bundle.model.format !== 'probity.tree.v1') throw new Error('these are trees');
    const trends = Float64Array.from({ length: 50 }, (_, at) => at * 200);
    const scores = logOddsOf(bundle.model, [trends, new Float64Array(50).fill(700)], 50);
    expect(scores.every((score, at) => at === 0 || score <= (scores[at - 1] ?? 0))).toBe(true);
    expect(scores[49]).toBeLessThan(scores[0] ?? 0);
  });

  it('is learnt from all rows in the end, with as many trees as the rows that are held back say', async () => {
    const dataset = await plantedDataset({ rows: 3_000, seed: 4, splits: SPLITS });
    const task = learningTask([dataset], { recipe: { ...recipe, calibration: false }, policy: brief() });
    const { bundle, report } = await learn(task, ground);
    const { train, later } = await readRows(task, demandInputs(task.datasets, recipe, task.policy.body));
    if (train === null || later === null || bundle.model.format !== 'probity.tree.v1') throw new Error('trees of both');
    const settings = treeSettingsOf(recipe);
    const held = trainTrees(train.matrix, settings, { later: later.matrix });
    const [rounds = 0] = held.rounds;
    const all = joined(train.matrix, later.matrix);
    expect(bundle.model.trees).toEqual(trainTrees(all, { ...settings, rounds }).model.trees);
    expect(bundle.model.trees).not.toEqual(held.model.trees);
    expect(bundle.lineage.trained_on).toContain(`: ${all.labels.length} rows`);
    expect(report.learner?.trees).toEqual([rounds]);
  });
});

describe('rows', () => {
  it('are scored as decisions score them, from the numbers of a snapshot', async () => {
    const dataset = await plantedDataset({ rows: 3_000, seed: 4, splits: SPLITS });
    const task = learningTask([dataset], { recipe, policy: brief() });
    const { bundle } = await learn(task, ground);
    if (bundle.model.format !== 'probity.tree.v1') throw new Error('these are trees');
    const inputs = demandInputs(task.datasets, recipe, task.policy.body);
    const { matrix, micros } = (await readRows(task, inputs)).eval;
    const ours = logOddsOf(bundle.model, matrix.columns, matrix.labels.length);
    const engine = new DecisionEngine({
      ...artifactsOf({ features: sealed('ofp.features', DEFINITIONS) }, bundle),
      rules: sealed('df.rules', { lists: rules.lists.map((list) => ({ ...list, rules: [] })) as never }),
    });
    const plan = engine.plan(postureOf(unrestricted(DEFINITIONS.groups.map(({ name }) => name))));
    const use = snapshotAfter(0, triggerOf(), []);
    if (use.status !== 'USED') throw new Error('a snapshot is wanted');
    // The cells of the file as texts, which is what a snapshot holds, by the time of their row.
    const names = ['ts_utc', 'amount_minor', 'f_signal', 'f_trend', 'f_noise'];
    const cells = names.map((): (string | null)[] => []);
    const file = await DatasetFile.open(dataset.file, dataset.manifest.built.materialisations[0] as never);
    await file.each(names, (name, row, value) => {
      const column = cells[names.indexOf(name)];
      if (column !== undefined) column[row] = value === null ? null : (value as bigint | number).toString();
    });
    await file.close();
    const [times = [], amounts = [], ...features] = cells;
    const [missing, different] = [new Set<number>(), new Set<number>()];
    micros.forEach((time, place) => {
      const row = times.indexOf(String(time));
      const [signal, trend, noise] = features.map((column) => column[row] ?? null);
      const groups = [
        { name: 'core_signal', version: 1, values: { signal, trend } },
        { name: 'core_noise', version: 2, values: { noise } },
      ].map((group) => ({ ...group, status: 'OK', age_s: 1, missing: 0 }));
      const served = { ...use, snapshot: { ...use.snapshot, groups } } as FeaturesUse;
      const trigger = triggerOf({ amount_minor: Number(amounts[row]) });
      const { model } = engine.decide(trigger, plan, served, NO_GRAPH);
      if (signal === null) missing.add(row);
      if (model.score_e6 !== logisticE6(ours[place] ?? 0)) different.add(row);
    });
    expect(missing.size).toBeGreaterThan(10);
    expect([...different]).toEqual([]);
  });

  it('whose truth or features are not known are left out, and counted', async () => {
    const { report } = await learnt({
      change: (row, at) => {
        if (at % 10 === 3) row['is_fraud'] = null;
        if (at % 10 === 7)
          Object.assign(row, { features_status: 'UNAVAILABLE', f_signal: null, f_trend: null, f_noise: null });
        if (at === 1) row['split'] = null;
      },
    });
    expect(report.datasets[0]?.left_out).toEqual({ TRUTH_NOT_KNOWN: 300, NO_FEATURES_SERVED: 300, IN_NO_SPLIT: 1 });
    expect(report.parts.train?.rows).toBe(1_800 * 0.8 - 1);
    expect(report.parts.eval.rows).toBe(600 * 0.8);
  });

  it('of a sample count for those that were left out', async () => {
    const [whole, sample] = [await learnt({ rows: 4_500 }), await learnt({ rows: 4_500, othersOneIn: 4 })];
    const [base, sampled] = [whole.report.parts.eval, sample.report.parts.eval];
    expect(sampled.rows).toBeLessThan(base.rows / 2);
    expect(Math.abs((sampled.base_rate ?? 0) - (base.base_rate ?? 0))).toBeLessThan(0.015);
    const { low, high } = whole.report.quality.average_precision;
    expect(sample.report.quality.average_precision.value).toBeGreaterThan(low);
    expect(sample.report.quality.average_precision.value).toBeLessThan(high);
    expect(sample.report.quality.card_precision.every(({ value }) => value === null)).toBe(true);
    expect(sample.report.warnings.join()).toMatch(/sample/);
    // The twin: without the weights a fraud among so few others looks several times as common.
    const unweighted = await learnt({ rows: 4_500, othersOneIn: 4, change: (row) => (row['weight'] = 1) });
    expect(unweighted.report.parts.eval.base_rate).toBeGreaterThan(2 * (base.base_rate ?? 1));
  });

  it('of a file with one other byte are refused before any of them is believed', async () => {
    const dataset = await plantedDataset({ rows: 2_500, seed: 1, splits: SPLITS });
    const bytes = readFileSync(dataset.file);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    writeFileSync(dataset.file, bytes);
    await expect(learn(learningTask([dataset]), ground)).rejects.toThrow(/MF_MATERIALIZATION_DIGEST_MISMATCH/);
    await expect(learnt({ manifest: (manifest) => withRows(manifest, 9_999) })).rejects.toThrow(
      /MF_SCHEMA_INCOMPATIBLE_WITH_RECIPE.*9999/,
    );
  });

  it('that are judged on are later than all others, whatever a manifest says', async () => {
    const open = (manifest: object) => ({ ...manifest, plan: { ...(manifest as { plan: object }).plan, rows: {} } });
    const train = await plantedDataset({ rows: 3_000, seed: 1, manifest: open });
    const later = await plantedDataset({ rows: 1_500, seed: 2, from: 3_000, role: 'eval', manifest: open });
    const task = learningTask([train, later], { recipe, policy: brief() });
    expect((await learn(task, ground)).receipt.result).toBe('PASS');
    // One row of training that happened after the first row that is judged on.
    const late = await plantedDataset({ rows: 3_001, seed: 1, manifest: open });
    await expect(learn({ ...task, datasets: [late, later] }, ground)).rejects.toThrow(/MF_LEAKAGE_GUARD_VIOLATION/);
    const gap = brief({ leakage: { gap_hours_min: 1, labels_known_before_eval: false } });
    await expect(learn({ ...task, policy: gap }, ground)).rejects.toThrow(/MF_LEAKAGE_GUARD_VIOLATION/);
  });

  it('that are too few teach nothing', async () => {
    await expect(learnt({ rows: 400 })).rejects.toThrow(/MF_TRAINING_ROWS_INSUFFICIENT.*240 rows/);
    const noFraud = { change: (row: Record<string, unknown>) => (row['is_fraud'] = false) };
    await expect(learnt(noFraud)).rejects.toThrow(/MF_TRAINING_ROWS_INSUFFICIENT/);
  });

  it('that would take more than the policy allows are not read', async () => {
    const limits = { rows_max: 10_000, bytes_max: 1e9, seconds_max: 60, memory_mb: 64 };
    const missing = async (changed: Partial<typeof limits>, rows?: number) => {
      const dataset = await plantedDataset({ rows: 600, seed: 1, splits: SPLITS });
      const [only] = dataset.manifest.built.materialisations;
      const manifest = rows === undefined ? dataset.manifest : (withRows(dataset.manifest, rows) as never);
      expect(only).toBeDefined();
      const policy = brief({ limits: { ...limits, ...changed } });
      return learn(learningTask([{ ...dataset, manifest, file: '/nowhere' }], { policy }), ground);
    };
    await expect(missing({ rows_max: 500 })).rejects.toThrow(/MF_RESOURCE_EXHAUSTED.*600 rows/);
    await expect(missing({ bytes_max: 500 })).rejects.toThrow(/MF_RESOURCE_EXHAUSTED.*bytes/);
    await expect(missing({ rows_max: 1e9 }, 1e6)).rejects.toThrow(/MF_RESOURCE_EXHAUSTED.*MB/);
  });
});

describe('beside the active bundle', () => {
  const known = { rows: 2_500, seed: 1, splits: SPLITS } as const;

  it('a better one passes, a worse one fails, and one that cannot be asked is named', async () => {
    const good = (await learnt(known)).bundle;
    const noise = { ...recipe, inputs: [{ source: 'features' as const, name: 'noise' }] };
    const bad = (await learnt(known, { recipe: noise })).bundle;
    const better = await learnt(known, { active: bad });
    expect(better.receipt.result).toBe('PASS');
    expect(better.report.active.difference?.low).toBeGreaterThan(0.05);
    const worse = await learnt(known, { recipe: noise, active: good });
    expect(worse.receipt.reason_codes).toContain('GATE_AGAINST_ACTIVE');
    // The same bundle differs from itself by nothing, and both figures are of the same rows.
    const same = await learnt(known, { active: good });
    expect(same.report.active).toMatchObject({
      difference: { value: 0, low: 0, high: 0 },
      quality: same.report.quality,
    });
    const foreign: Bundle = {
      ...good,
      compatibility: { ...good.compatibility, feature_groups: [{ name: 'core_signal', version: 9 }] },
    };
    const alone = await learnt(known, { active: foreign });
    expect(alone.report.active).toMatchObject({
      quality: null,
      difference: null,
      why: expect.stringMatching(/version 9/),
    });
    expect(alone.receipt.result).toBe('PASS');
    const against_active = { difference_min: 0, rule: 'value' as const, without_active: 'fail' as const };
    const strict = await learnt(known, { active: foreign, policy: brief({ against_active }) });
    expect(strict.receipt.reason_codes).toEqual(['GATE_AGAINST_ACTIVE']);
  });
});

describe('a bundle that is only judged', () => {
  it('has the figures that it had when it was made, on the same rows', async () => {
    const dataset = await plantedDataset({ rows: 2_500, seed: 1, splits: SPLITS });
    const made = await learn(learningTask([dataset], { recipe, policy: brief() }), ground);
    const task = learningTask([dataset], { kind: 'evaluate', candidate: made.bundle, policy: brief() });
    const judged = await learn(task, ground);
    expect(judged.report.quality).toEqual(made.report.quality);
    expect(judged.bundle_digest).toBe(made.bundle_digest);
    expect(judged.receipt.result).toBe('PASS');
    expect(judged.report).toMatchObject({ recipe_digest: null, learner: null, search: null, calibration: null });
  });

  it('alone with later rows passes, and fails on rows that it was made of', async () => {
    const own = await plantedDataset({ rows: 2_500, seed: 1, splits: SPLITS });
    const { bundle } = await learn(learningTask([own], { recipe, policy: brief() }), ground);
    const later = await plantedDataset({ rows: 1_000, seed: 9, from: 2_500, role: 'eval' });
    const task = learningTask([later], { kind: 'evaluate', candidate: bundle, policy: brief() });
    const { receipt, report } = await learn(task, ground);
    expect(receipt.result).toBe('PASS');
    expect(report.parts.train).toBeNull();
    expect(report.warnings.join()).toMatch(/not at hand/);
    const again = await learn({ ...task, datasets: [{ ...own, role: 'eval' }] }, ground);
    expect(again.receipt.reason_codes).toContain('GATE_LEAKAGE');
  });

  it('that is scored elsewhere has no reasons, which a policy may or may not accept', async () => {
    const later = await plantedDataset({ rows: 1_000, seed: 9, role: 'eval' });
    const file = Buffer.from('not looked at by this test');
    const candidate: Bundle = {
      bundle_id: 'of-others',
      bundle_version: 1,
      compatibility: { feature_groups: [{ name: 'core_signal', version: 1 }], input_contract: 'transaction.v1' },
      lineage: { trained_on: 'elsewhere', recipe: 'unknown', dataset_digest: digestText('elsewhere') },
      model: {
        format: 'probity.onnx.v1',
        inputs: [{ source: 'features', name: 'signal' }],
        missing: 'NaN',
        file: { base64: file.toString('base64'), sha256: digestBytes(file) },
        ...{ input_tensor: 'x', output_tensor: 'p' },
      },
    };
    // What a model of others would say: much where the signal is high or missing.
    const scoreExternal: LearningGround['scoreExternal'] = (_, [signal = new Float64Array(0)]) =>
      Promise.resolve(signal.map((x) => (Number.isNaN(x) ? -2 : x > 900 ? 0 : -4)));
    const task = learningTask([later], { kind: 'evaluate', candidate, policy: brief() });
    const { receipt, report } = await learn(task, { ...ground, scoreExternal });
    expect(receipt.result).toBe('PASS');
    expect(report.importance).toEqual([{ input: 'features.signal', reason_code: null, gain: null, permutation: null }]);
    const strict = await learn({ ...task, policy: brief({ explainability: 'always' }) }, { ...ground, scoreExternal });
    expect(strict.receipt.reason_codes).toEqual(['GATE_EXPLAINABILITY']);
    // One that answers otherwise each time, and one that answers nothing.
    let calls = 0;
    const fickle: typeof scoreExternal = async (...asked) =>
      (await scoreExternal(...asked)).map((x) => x + (calls += 1) * 1e-9);
    expect((await learn(task, { ...ground, scoreExternal: fickle })).receipt.reason_codes).toContain(
      'GATE_DETERMINISM',
    );
    const mute: typeof scoreExternal = (_, __, rows) => Promise.resolve(new Float64Array(rows).fill(Number.NaN));
    await expect(learn(task, { ...ground, scoreExternal: mute })).rejects.toThrow(/MF_MODEL_UNSCORABLE/);
    await expect(learn({ ...task, candidate: null }, ground)).rejects.toThrow(/MF_SCHEMA_INCOMPATIBLE_WITH_RECIPE/);
  });
});

function withRows(manifest: LearningTask['datasets'][number]['manifest'], rows: number): object {
  const materialisations = manifest.built.materialisations.map((each) => ({ ...each, rows }));
  return { ...manifest, built: { ...manifest.built, materialisations } };
}
