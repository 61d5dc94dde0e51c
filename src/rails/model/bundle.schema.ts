import { Type } from '@sinclair/typebox';
import { digestCanonical } from '../canonical-json.js';
import { type Digest, digestBytes, DigestSchema } from '../digest.js';
import { ReasonCodeSchema } from '../events/decision.schema.js';
import { closed, type Sealed } from '../schema.js';

/** What a model reads: a feature, a value of the graph, or a number of the event itself. */
const source = {
  source: Type.Union([Type.Literal('features'), Type.Literal('graph'), Type.Literal('event')]),
  name: Type.String({ pattern: '^[a-z][a-z0-9_]{0,79}$' }),
};
const input = {
  ...source,
  /** Said of a decision in which this input raised the score most. */
  reason_code: Type.Optional(ReasonCodeSchema),
};

/**
 * `probity.linear.v1`: log odds = intercept + Σ weight · (min(x, cap) − mean) / deviation over what is there, + weight_missing for what is not. In
 * the order of the inputs, in double precision.
 */
export const LinearModelSchema = closed({
  format: Type.Literal('probity.linear.v1'),
  inputs: Type.Array(
    closed({
      ...input,
      /** What is above it counts as much: one wild value must not decide alone. */
      cap: Type.Optional(Type.Number()),
      mean: Type.Number(),
      deviation: Type.Number({ exclusiveMinimum: 0 }),
      weight: Type.Number(),
      weight_missing: Type.Number(),
    }),
    { minItems: 1, maxItems: 500 },
  ),
  intercept: Type.Number(),
});

/**
 * `probity.tree.v1`: log odds = base + Σ leaf over the trees. A node sends x < threshold to the left, and what is missing where it says.
 * `value` is what the tree would say if it ended there (of a leaf: what it says); the steps between are the contributions.
 */
export const TreeModelSchema = closed({
  format: Type.Literal('probity.tree.v1'),
  inputs: Type.Array(closed(input), { minItems: 1, maxItems: 500 }),
  base: Type.Number(),
  trees: Type.Array(
    Type.Array(
      closed({
        value: Type.Number(),
        split: Type.Optional(
          closed({
            input: Type.Integer({ minimum: 0 }),
            threshold: Type.Number(),
            left: Type.Integer({ minimum: 1 }),
            right: Type.Integer({ minimum: 1 }),
            missing: Type.Union([Type.Literal('left'), Type.Literal('right')]),
          }),
        ),
      }),
      { minItems: 1, maxItems: 4_096 },
    ),
    { minItems: 1, maxItems: 1_000 },
  ),
});

const tensorName = Type.String({ minLength: 1, maxLength: 200 });

/**
 * `probity.onnx.v1`: a model of others' making, as an ONNX file. It takes a row of single precision numbers, one for each input, and says a probability
 * of fraud. Which input moved it is not known, so none of them gives a reason.
 */
export const OnnxModelSchema = closed({
  format: Type.Literal('probity.onnx.v1'),
  inputs: Type.Array(closed(source), { minItems: 1, maxItems: 500 }),
  /** What is fed for a value that is not there. */
  missing: Type.Union([Type.Literal('NaN'), Type.Number()]),
  file: closed({
    base64: Type.String({ minLength: 4, maxLength: 8_000_000, pattern: '^[A-Za-z0-9+/]+={0,2}$' }),
    sha256: DigestSchema,
  }),
  /** A tensor of the shape [rows, inputs]. */
  input_tensor: tensorName,
  /** A tensor of the shape [rows] or [rows, columns], with the column that is the probability of fraud; the last one, where it is not said. */
  output_tensor: tensorName,
  output_column: Type.Optional(Type.Integer({ minimum: 0, maximum: 999 })),
});

export const BundleSchema = closed(
  {
    bundle_id: Type.String({ pattern: '^[a-z][a-z0-9._-]{0,99}$' }),
    bundle_version: Type.Integer({ minimum: 1 }),
    compatibility: closed({
      feature_groups: Type.Array(
        closed({
          name: Type.String({ pattern: '^[a-z][a-z0-9_-]{0,63}$' }),
          version: Type.Integer({ minimum: 1 }),
        }),
        { description: 'whose values it was trained on; another version is another meaning' },
      ),
      input_contract: Type.Literal('transaction.v1'),
    }),
    /** What it was made of: enough to make it again. */
    lineage: closed({
      trained_on: Type.String({ minLength: 1, maxLength: 500 }),
      recipe: Type.String({ minLength: 1, maxLength: 200 }),
      dataset_digest: DigestSchema,
    }),
    model: Type.Union([LinearModelSchema, TreeModelSchema, OnnxModelSchema]),
  },
  { description: 'A model with what it needs and what it was made of.' },
);
export type Bundle = Sealed<typeof BundleSchema>;
export type LinearModel = Sealed<typeof LinearModelSchema>;
export type TreeModel = Sealed<typeof TreeModelSchema>;
export type OnnxModel = Sealed<typeof OnnxModelSchema>;

export function onnxFile({ file }: OnnxModel): Buffer {
  return Buffer.from(file.base64, 'base64');
}

export function bundleDigest(bundle: Bundle): Digest {
  return digestCanonical(bundle);
}

/** What a schema cannot say: places outside the arrays, trees that are none. */
export function bundleFaults({ model }: Bundle): readonly { readonly pointer: string; readonly sentence: string }[] {
  const names = new Set<string>();
  const faults: { pointer: string; sentence: string }[] = [];
  model.inputs.forEach(({ source, name }, at) => {
    if (names.has(`${source}.${name}`))
      faults.push({ pointer: `/model/inputs/${at}`, sentence: `the input ${source}.${name} stands here twice` });
    names.add(`${source}.${name}`);
  });
  if (model.format === 'probity.onnx.v1' && digestBytes(onnxFile(model)) !== model.file.sha256)
    faults.push({ pointer: '/model/file/sha256', sentence: 'the file has another digest' });
  if (model.format !== 'probity.tree.v1') return faults;
  model.trees.forEach((nodes, tree) => {
    nodes.forEach(({ split }, at) => {
      if (split === undefined) return;
      const pointer = `/model/trees/${tree}/${at}/split`;
      if (split.input >= model.inputs.length) faults.push({ pointer, sentence: 'there is no such input' });
      // A child after its parent: no walk goes in a circle.
      if (split.left <= at || split.right <= at || Math.max(split.left, split.right) >= nodes.length)
        faults.push({ pointer, sentence: 'a child stands after its parent, within the tree' });
    });
  });
  return faults;
}
