import { describe, expect, it } from '@jest/globals';
import { digestBytes } from '../../rails/digest.js';
import type { OnnxModel } from '../../rails/model/bundle.schema.js';
import { type OnnxInferenceSession, OnnxRuntime, type OnnxRuntimePackage, type OnnxTensor } from './model-runtime.js';

type Answer = (row: ArrayLike<number | bigint>) => OnnxTensor;

/** The runtime with a package that answers as the test wants. */
class Scripted extends OnnxRuntime {
  constructor(private readonly answer: Answer) {
    super();
  }

  protected override load(): OnnxRuntimePackage {
    class Tensor implements OnnxTensor {
      constructor(
        readonly type: string,
        readonly data: ArrayLike<number | bigint>,
        readonly dims: readonly number[],
      ) {}
    }
    const session: OnnxInferenceSession = {
      inputNames: ['x'],
      outputNames: ['p'],
      run: ({ x }) => Promise.resolve({ p: this.answer(x?.data ?? []) }),
    };
    return { InferenceSession: { create: () => Promise.resolve(session) }, Tensor };
  }
}

const file = Buffer.from('any');
const model: OnnxModel = {
  format: 'probity.onnx.v1',
  inputs: [
    { source: 'event', name: 'amount_minor' },
    { source: 'features', name: 'card_count_1h' },
  ],
  missing: 'NaN',
  file: { base64: file.toString('base64'), sha256: digestBytes(file) },
  input_tensor: 'x',
  output_tensor: 'p',
};
const says = (dims: readonly number[], data: ArrayLike<number>, type = 'float32'): OnnxTensor => ({ type, dims, data });
const open = (answer: Answer, change: Partial<OnnxModel> = {}) => new Scripted(answer).open({ ...model, ...change });

describe('a model of others, before it is asked about a payment', () => {
  it('may answer one row as [1], [1, 1] or [1, columns], in single or double precision', async () => {
    for (const answer of [says([1], [0.25]), says([1, 1], [0.25], 'float64'), says([1, 2], [0.75, 0.25])])
      expect(await (await open(() => answer)).scoreE6([1, 2])).toBe(250_000);
    const first = await open(() => says([1, 2], [0.75, 0.25]), { output_column: 0 });
    expect(await first.scoreE6([1, 2])).toBe(750_000);
  });

  it('is refused where its answer has another shape, another type, or is no probability', async () => {
    const answers: Readonly<Record<string, OnnxTensor>> = {
      'more rows than were asked for': says([2, 1], [0.5, 0.5]),
      'a third dimension': says([1, 1, 2], [0.5, 0.5]),
      'no dimension': says([], [0.5]),
      'half precision, whose bits are a 1': says([1, 1], [1], 'float16'),
      'no number': says([1], [Number.NaN]),
      infinite: says([1], [Number.POSITIVE_INFINITY]),
      'log odds': says([1], [1.5]),
    };
    for (const [what, answer] of Object.entries(answers))
      await expect(open(() => answer).then(() => what)).rejects.toMatchObject({ code: 'DF_MODEL_REFUSED' });
    await expect(open(() => says([1, 2], [0.5, 0.5]), { output_column: 2 })).rejects.toThrow('no probability');
  });

  it('is refused where it draws lots, since a decision could not be made again', async () => {
    let drawn = 0;
    await expect(open(() => says([1], [((drawn += 1) % 7) / 7]))).rejects.toThrow('another score each time');
  });

  it('is refused where it has no answer to what is fed for a missing value, and taken where it has', async () => {
    const sum: Answer = (row) => says([1], [Array.from(row, Number).reduce((a, b) => a + b, 0) / 10]);
    await expect(open(sum)).rejects.toThrow('values that are missing');
    expect(await (await open(sum, { missing: 0 })).scoreE6([1, null])).toBe(100_000);
  });
});
