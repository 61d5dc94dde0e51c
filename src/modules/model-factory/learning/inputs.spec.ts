import { describe, expect, it } from '@jest/globals';
import { factoryPolicy, plantedDataset } from '../../../../test/support/learning-dataset.js';
import { digestText } from '../../../rails/digest.js';
import type { DatasetManifest } from '../../offline-feature-shadow/offline-feature-shadow.port.js';
import { evaluateInputs, type RoledManifest } from './inputs.js';

const { body: policy } = factoryPolicy();
const { manifest: TRAIN } = await plantedDataset({ rows: 120, seed: 1, splits: [0.5, 0.25, 0.25] });
const { manifest: LATER } = await plantedDataset({ rows: 60, seed: 2, from: 120, role: 'eval' });
const PAIR: readonly RoledManifest[] = [
  { role: 'train', manifest: TRAIN },
  { role: 'eval', manifest: LATER },
];
const ALL = { inputs: 'all' } as const;

/** A copy with some of it changed, place by place. */
function changed(manifest: DatasetManifest, change: (copy: Mutable<DatasetManifest>) => void): DatasetManifest {
  const copy = structuredClone(manifest) as Mutable<DatasetManifest>;
  change(copy);
  return copy;
}
type Mutable<T> = T extends string | number | boolean | null | undefined
  ? T
  : { -readonly [Key in keyof T]: Mutable<T[Key]> };

function codesOf(
  datasets: readonly RoledManifest[],
  recipe: Parameters<typeof evaluateInputs>[1] = ALL,
  under = policy,
) {
  const verdict = evaluateInputs(datasets, recipe, under);
  return verdict.ok ? [] : verdict.faults.map(({ code }) => code);
}
const labelled = (change: (label: Mutable<NonNullable<DatasetManifest['built']['label']>>) => void) =>
  changed(TRAIN, ({ built }) => {
    if (built.label !== null) change(built.label);
  });

describe('datasets by their manifests', () => {
  it('that fit give the inputs with columns, groups and reasons', () => {
    const verdict = evaluateInputs(PAIR, ALL, policy);
    expect(verdict).toMatchObject({
      ok: true,
      inputs: [
        { source: 'event', name: 'amount_minor', column: 'amount_minor', reason_code: 'AMOUNT_MINOR' },
        { source: 'features', name: 'signal', column: 'f_signal', group: { name: 'core_signal', version: 1 } },
        { source: 'features', name: 'trend', column: 'f_trend', reason_code: 'TREND' },
        { source: 'features', name: 'noise', column: 'f_noise', group: { name: 'core_noise', version: 2 } },
      ],
    });
    expect(codesOf([{ role: 'train', manifest: TRAIN }])).toEqual([]);
  });

  it('take the amount of the event where no feature already is it', () => {
    const twice = changed(TRAIN, ({ built }) => {
      const [first] = built.materialisations;
      first?.columns.push({
        name: 'f_amount_minor',
        type: 'INT64',
        nullable: true,
        group: 'core_signal',
        group_version: 1,
      });
    });
    const verdict = evaluateInputs([{ role: 'train', manifest: twice }], ALL, policy);
    expect(verdict.ok && verdict.inputs.map(({ source, name }) => `${source}.${name}`)).toEqual([
      ...['features.signal', 'features.trend', 'features.noise', 'features.amount_minor'],
    ]);
  });

  it.each<[string, string, readonly RoledManifest[]]>([
    ['MF_SCHEMA_INCOMPATIBLE_WITH_RECIPE', 'two of one role', [PAIR[0], PAIR[0]] as RoledManifest[]],
    [
      'MF_FEATURE_PINS_INCONSISTENT_ACROSS_SET',
      'other definitions',
      [
        {
          role: 'train',
          manifest: changed(TRAIN, ({ plan }) => (plan.definitions.content_digest = digestText('other') as never)),
        },
        { role: 'eval', manifest: LATER },
      ],
    ],
    [
      'MF_SCHEMA_INCOMPATIBLE_WITH_RECIPE',
      'another scale of a column',
      [
        {
          role: 'train',
          manifest: changed(TRAIN, ({ built }) => {
            const trend = built.materialisations[0]?.columns.find(({ name }) => name === 'f_trend');
            if (trend !== undefined) trend.scale = 2;
          }),
        },
        { role: 'eval', manifest: LATER },
      ],
    ],
    [
      'MF_SCHEMA_INCOMPATIBLE_WITH_RECIPE',
      'no file of rows',
      [{ role: 'train', manifest: changed(TRAIN, ({ built }) => (built.materialisations = [])) }],
    ],
    [
      'MF_MISSING_AS_OF_BOUNDARY',
      'no labels',
      [{ role: 'train', manifest: changed(TRAIN, ({ built }) => (built.label = null)) }],
    ],
    [
      'MF_AS_OF_INCONSISTENT_ACROSS_SET',
      'another maturity',
      [
        { role: 'train', manifest: labelled((label) => (label.maturity_days = 7)) },
        { role: 'eval', manifest: LATER },
      ],
    ],
    [
      'MF_AS_OF_INCONSISTENT_ACROSS_SET',
      'training labels later than those of the evaluation',
      [
        { role: 'train', manifest: labelled((label) => (label.as_of_utc = '2019-06-01T00:00:00.000000Z' as never)) },
        { role: 'eval', manifest: LATER },
      ],
    ],
    [
      'MF_LEAKAGE_GUARD_VIOLATION',
      'rows of training among those that are judged on',
      [
        {
          role: 'train',
          manifest: changed(TRAIN, ({ plan }) => (plan.rows.to_utc = '2018-04-01T02:00:01.000000Z' as never)),
        },
        { role: 'eval', manifest: LATER },
      ],
    ],
    [
      'MF_LEAKAGE_GUARD_VIOLATION',
      'no split test',
      [{ role: 'train', manifest: changed(TRAIN, ({ plan }) => (plan.splits = plan.splits.slice(0, 2))) }],
    ],
    [
      'MF_LEAKAGE_GUARD_VIOLATION',
      'a test before the validation',
      [
        {
          role: 'train',
          manifest: changed(TRAIN, ({ plan }) => {
            const [, validation, test] = plan.splits;
            if (validation === undefined || test === undefined) return;
            [validation.name, test.name] = ['test', 'validation'];
          }),
        },
      ],
    ],
  ])('are refused with %s for %s', (code, _, datasets) => {
    expect(codesOf(datasets)).toContain(code);
  });

  it('keep the gap that the policy demands, and labels that were known in time', () => {
    const under = (leakage: Partial<typeof policy.leakage>) => ({
      ...policy,
      leakage: { ...policy.leakage, ...leakage },
    });
    expect(codesOf(PAIR, ALL, under({ gap_hours_min: 1 }))).toEqual(['MF_LEAKAGE_GUARD_VIOLATION']);
    expect(codesOf([PAIR[0] as RoledManifest], ALL, under({ gap_hours_min: 1 }))).toEqual([
      'MF_LEAKAGE_GUARD_VIOLATION',
    ]);
    const known = under({ labels_known_before_eval: true });
    expect(codesOf(PAIR, ALL, known)).toEqual(['MF_LEAKAGE_GUARD_VIOLATION']);
    const early = labelled((label) => (label.as_of_utc = '2018-04-01T02:00:00.000000Z' as never));
    expect(codesOf([{ role: 'train', manifest: early }, PAIR[1] as RoledManifest], ALL, known)).toEqual([]);
  });
});

describe('the inputs of a recipe', () => {
  const asked = (name: string, source: 'features' | 'event' = 'event') => codesOf(PAIR, { inputs: [{ source, name }] });

  it.each(['card_id', 'event_id', 'is_fraud', 'label_state', 'split', 'weight', 'decision_id', 'ts_utc'])(
    'are never %s',
    (name) => {
      expect(asked(name)).toEqual(['MF_LEAKAGE_GUARD_VIOLATION']);
      expect(asked(name, 'features')).toEqual(['MF_LEAKAGE_GUARD_VIOLATION']);
    },
  );

  it('are columns of the dataset, each once', () => {
    expect(asked('amount_minor')).toEqual([]);
    expect(asked('currency')).toEqual(['MF_SCHEMA_INCOMPATIBLE_WITH_RECIPE']);
    expect(asked('nothing', 'features')).toEqual(['MF_SCHEMA_INCOMPATIBLE_WITH_RECIPE']);
    const twice = {
      inputs: [
        { source: 'features' as const, name: 'signal' },
        { source: 'features' as const, name: 'signal' },
      ],
    };
    expect(codesOf(PAIR, twice)).toEqual(['MF_SCHEMA_INCOMPATIBLE_WITH_RECIPE']);
  });
});
