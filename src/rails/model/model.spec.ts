import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { digestBytes, digestText } from '../digest.js';
import {
  type Bundle,
  bundleDigest,
  bundleFaults,
  BundleSchema,
  type LinearModel,
  type TreeModel,
} from './bundle.schema.js';
import { exp, logisticE6 } from './exp.js';
import { scoreOf } from './score.js';
import { validatorOf } from '../validator.js';

/** Of the platform's own formats. */
type Own = Bundle & { readonly model: LinearModel | TreeModel };

const finite = fc.double({ min: -1e6, max: 1e6, noNaN: true });

const about = {
  bundle_id: 'test',
  bundle_version: 1,
  compatibility: { feature_groups: [], input_contract: 'transaction.v1' },
  lineage: { trained_on: 'nothing', recipe: 'by hand', dataset_digest: digestText('nothing') },
} as const;

const linear = (weights: readonly number[], intercept = 0.5): Own => ({
  ...about,
  model: {
    format: 'probity.linear.v1',
    intercept,
    inputs: weights.map((weight, at) => ({
      source: 'features',
      name: `f${at}`,
      mean: at,
      deviation: at + 1,
      weight,
      weight_missing: -weight / 3,
    })),
  },
});

const capped = (cap: number): Own => {
  const { model, ...rest } = linear([2]);
  if (model.format !== 'probity.linear.v1') throw new Error('not linear');
  return { ...rest, model: { ...model, inputs: model.inputs.map((input) => ({ ...input, cap })) } };
};

/** Depth two: f0 < 10, then f1 < 5 on the left; missing goes right. */
const tree: Own = {
  ...about,
  model: {
    format: 'probity.tree.v1',
    base: -1,
    inputs: [
      { source: 'features', name: 'f0' },
      { source: 'features', name: 'f1' },
    ],
    trees: [
      [
        { value: 0.1, split: { input: 0, threshold: 10, left: 1, right: 2, missing: 'right' } },
        { value: -0.4, split: { input: 1, threshold: 5, left: 3, right: 4, missing: 'left' } },
        { value: 0.9 },
        { value: -0.7 },
        { value: 0.2 },
      ],
    ],
  },
};

describe('e^x from basic operations alone', () => {
  it('is as near to the true value as a double is', () => {
    fc.assert(
      fc.property(fc.double({ min: -700, max: 700, noNaN: true }), (x) => {
        expect(Math.abs(exp(x) / Math.exp(x) - 1)).toBeLessThan(1e-14);
      }),
    );
  });

  it('has the values that were written down once, on whatever engine this runs', () => {
    expect([exp(0), exp(1), exp(-1), exp(0.1)].map((value) => value.toPrecision(17))).toEqual([
      '1.0000000000000000',
      '2.7182818284590455',
      '0.36787944117144233',
      '1.1051709180756477',
    ]);
  });

  it('becomes a whole number of millionths from 0 to 1,000,000, and never falls as the log odds rise', () => {
    fc.assert(
      fc.property(finite, finite, (a, b) => {
        const [low, high] = a < b ? [a, b] : [b, a];
        expect(logisticE6(low)).toBeLessThanOrEqual(logisticE6(high));
        expect(Number.isInteger(logisticE6(low)) && logisticE6(low) >= 0 && logisticE6(high) <= 1_000_000).toBe(true);
      }),
    );
    expect([logisticE6(0), logisticE6(-1e9), logisticE6(1e9)]).toEqual([500_000, 0, 1_000_000]);
  });
});

describe('a cap', () => {
  it('counts what is above it as much, and changes nothing below it', () => {
    fc.assert(
      fc.property(finite, finite, (x, cap) => {
        expect(scoreOf(capped(cap), [x])).toEqual(scoreOf(linear([2]), [Math.min(x, cap)]));
      }),
    );
    expect(scoreOf(capped(5), [6])).not.toEqual(scoreOf(linear([2]), [6]));
    expect(scoreOf(capped(5), [null])).toEqual(scoreOf(linear([2]), [null]));
  });
});

describe('contributions', () => {
  it('add up to the log odds, for any weights and inputs, what is missing among them', () => {
    const values = fc.array(fc.option(finite, { nil: null }), { minLength: 5, maxLength: 5 });
    fc.assert(
      fc.property(fc.array(finite, { minLength: 5, maxLength: 5 }), values, (weights, inputs) => {
        const { base, contributions, logOdds } = scoreOf(linear(weights), inputs);
        expect(contributions.reduce((sum, each) => sum + each, base)).toBe(logOdds);
      }),
    );
    fc.assert(
      fc.property(fc.option(finite, { nil: null }), fc.option(finite, { nil: null }), (a, b) => {
        const { base, contributions, logOdds } = scoreOf(tree, [a, b]);
        expect(contributions.reduce((sum, each) => sum + each, base)).toBeCloseTo(logOdds, 12);
      }),
    );
  });

  it('of a tree belong to the input that was asked at each step', () => {
    expect(scoreOf(tree, [3, 7])).toMatchObject({ base: -0.9, logOdds: -0.8 });
    const { contributions } = scoreOf(tree, [3, 7]);
    expect(contributions.map((each) => Math.round(each * 1e9) / 1e9)).toEqual([-0.5, 0.6]);
    // Missing goes where the node says: right at the root, where nothing else is asked.
    expect(scoreOf(tree, [null, 7]).contributions.map((each) => Math.round(each * 1e9) / 1e9)).toEqual([0.8, 0]);
  });

  it('of an input that is missing are what the bundle says of its absence', () => {
    expect(scoreOf(linear([3]), [null])).toMatchObject({ contributions: [-1], logOdds: -0.5 });
  });
});

describe('a bundle', () => {
  it('has a digest that one coefficient changes', () => {
    expect(bundleDigest(linear([1, 2]))).toBe(bundleDigest(linear([1, 2])));
    expect(bundleDigest(linear([1, 2.000001]))).not.toBe(bundleDigest(linear([1, 2])));
  });

  it('is refused where its tree leads nowhere, back, or asks for what is not there; and sound where it does not', () => {
    expect(bundleFaults(tree)).toEqual([]);
    const broken = JSON.parse(JSON.stringify(tree)) as { model: { trees: { split?: Record<string, number> }[][] } };
    const [root] = broken.model.trees[0] ?? [];
    Object.assign(root?.split ?? {}, { input: 9, left: 0, right: 77 });
    expect(bundleFaults(broken as unknown as Bundle).map(({ pointer, sentence }) => `${pointer} ${sentence}`)).toEqual([
      '/model/trees/0/0/split there is no such input',
      '/model/trees/0/0/split a child stands after its parent, within the tree',
    ]);
  });

  it('of a format that is not ours is refused by its schema', () => {
    const check = validatorOf(BundleSchema, 'the bundle');
    expect(check.check(tree).ok).toBe(true);
    expect(check.check({ ...tree, model: { format: 'onnx', bytes: '' } }).ok).toBe(false);
  });
});

describe('an ONNX file', () => {
  const file = Buffer.from('the bytes of a model');
  const of = (base64: string): Bundle => ({
    ...about,
    model: {
      format: 'probity.onnx.v1',
      inputs: [{ source: 'features', name: 'f0' }],
      missing: 'NaN',
      file: { base64, sha256: digestBytes(file) },
      input_tensor: 'x',
      output_tensor: 'p',
    },
  });
  const check = validatorOf(BundleSchema, 'the bundle');

  it('is taken under its own digest alone, and belongs to the digest of its bundle', () => {
    const sound = of(file.toString('base64'));
    expect(check.check(sound).ok).toBe(true);
    expect(bundleFaults(sound)).toEqual([]);
    const spoilt = Buffer.from(file);
    spoilt[3] = (spoilt[3] ?? 0) ^ 1;
    const other = of(spoilt.toString('base64'));
    expect(bundleFaults(other)).toEqual([{ pointer: '/model/file/sha256', sentence: 'the file has another digest' }]);
    expect(bundleDigest(other)).not.toBe(bundleDigest(sound));
  });

  it('is base64, and its inputs stand once and give no reasons', () => {
    expect(check.check(of('not base64!')).ok).toBe(false);
    const { model, ...rest } = of(file.toString('base64'));
    const [input] = model.inputs;
    expect(check.check({ ...rest, model: { ...model, inputs: [{ ...input, reason_code: 'WHY' }] } }).ok).toBe(false);
    const twice = { ...rest, model: { ...model, inputs: [input, input] } } as Bundle;
    expect(bundleFaults(twice)).toMatchObject([{ pointer: '/model/inputs/1' }]);
  });
});
