import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { trainTrees } from '../learning/gradient-boosting.js';
import { DEFAULT_LOGISTIC, trainLogistic } from '../learning/logistic.js';
import { DEFAULT_TREES } from '../learning/tree-settings.js';
import { plantedRows } from '../learning/worlds.kit.js';
import type { LinearModel, TreeModel } from './bundle.schema.js';
import { onnxOf } from './onnx-export.js';
import { scoreOf } from './score.js';

type Fields = ReadonlyMap<number, readonly (number | Uint8Array)[]>;

/** A message of protocol buffers, read back: varints, and what has a length before it. */
function fieldsIn(bytes: Uint8Array): Fields {
  const found = new Map<number, (number | Uint8Array)[]>();
  let at = 0;
  const varint = (): number => {
    let [value, factor] = [0, 1];
    for (;;) {
      const byte = bytes[at] ?? 0;
      at += 1;
      value += (byte & 127) * factor;
      factor *= 128;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const key = varint();
    const size = varint();
    const value = key % 8 === 0 ? size : bytes.subarray(at, at + size);
    if (typeof value !== 'number') at += size;
    found.set(key >> 3, [...(found.get(key >> 3) ?? []), value]);
  }
  return found;
}

const parts = (fields: Fields, number: number): Fields[] =>
  (fields.get(number) ?? []).map((each) => fieldsIn(each as Uint8Array));
const texts = (fields: Fields, number: number): string[] =>
  (fields.get(number) ?? []).map((each) => new TextDecoder().decode(each as Uint8Array));
const tensor = (fields: Fields): number[] => {
  const raw = fields.get(9)?.[0] as Uint8Array;
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  return Array.from({ length: raw.byteLength / 8 }, (_, at) => view.getFloat64(8 * at, true));
};

/** What the operators of the file say of one row, after their definitions. */
function logOddsBy(file: Uint8Array, row: readonly number[]): number {
  const [graph] = parts(fieldsIn(file), 7);
  if (graph === undefined) throw new Error('there is no graph');
  const values = new Map<string, number[]>([[texts(graph, 11)[0] === undefined ? '' : 'inputs', [...row]]]);
  for (const each of parts(graph, 5)) values.set(texts(each, 8)[0] ?? '', tensor(each));
  for (const node of parts(graph, 1)) {
    const [first = [], second = [], third = []] = texts(node, 1).map((name) => values.get(name) ?? []);
    const of = (result: (a: number, b: number, c: number) => number): number[] =>
      Array.from({ length: first.length }, (_, at) => result(first[at] ?? 0, second[at] ?? 0, third[at] ?? 0));
    const operators: Readonly<Record<string, () => number[]>> = {
      Cast: () => first,
      IsNaN: () => of((a) => (Number.isNaN(a) ? 1 : 0)),
      Min: () => of((a, b) => Math.min(a, b)),
      Sub: () => of((a, b) => a - b),
      Mul: () => of((a, b) => a * b),
      Div: () => of((a, b) => a / b),
      Where: () => of((a, b, c) => (a === 1 ? b : c)),
      MatMul: () => [of((a, b) => a * b).reduce((sum, each) => sum + each, 0)],
      Add: () => of((a, b) => a + b),
      TreeEnsembleRegressor: () => [ensembleBy(node, first)],
      Sigmoid: () => first,
    };
    values.set(texts(node, 2)[0] ?? '', operators[texts(node, 4)[0] ?? '']?.() ?? []);
  }
  return values.get('log_odds')?.[0] ?? Number.NaN;
}

function ensembleBy(node: Fields, row: readonly number[]): number {
  const attributes = new Map(parts(node, 5).map((each) => [texts(each, 1)[0] ?? '', each]));
  const ints = (name: string): number[] => (attributes.get(name)?.get(8) ?? []) as number[];
  const numbers = (name: string): number[] => parts(attributes.get(name) ?? new Map(), 5).flatMap(tensor);
  const modes = texts(attributes.get('nodes_modes') ?? new Map(), 9);
  const nodeAt = new Map(ints('nodes_treeids').map((tree, at) => [`${tree} ${ints('nodes_nodeids')[at]}`, at]));
  const leaves = new Map(
    ints('target_treeids').map((tree, at) => [
      `${tree} ${ints('target_nodeids')[at]}`,
      numbers('target_weights_as_tensor')[at],
    ]),
  );
  let sum = numbers('base_values_as_tensor')[0] ?? Number.NaN;
  for (const tree of new Set(ints('nodes_treeids'))) {
    let id = 0;
    for (;;) {
      const at = nodeAt.get(`${tree} ${id}`) ?? -1;
      if (modes[at] === 'LEAF') break;
      const x = row[ints('nodes_featureids')[at] ?? -1] ?? Number.NaN;
      const isTrue = Number.isNaN(x)
        ? ints('nodes_missing_value_tracks_true')[at] === 1
        : x < (numbers('nodes_values_as_tensor')[at] ?? 0);
      id = ints(isTrue ? 'nodes_truenodeids' : 'nodes_falsenodeids')[at] ?? -1;
    }
    sum += leaves.get(`${tree} ${id}`) ?? Number.NaN;
  }
  return sum;
}

describe('a model as an ONNX file', () => {
  const rows = plantedRows(1_500, 5);
  const models: readonly (LinearModel | TreeModel)[] = [
    trainTrees(rows, { ...DEFAULT_TREES, rounds: 6 }).model,
    trainLogistic(rows, { ...DEFAULT_LOGISTIC, caps: { signal: 700 } }),
    { format: 'probity.tree.v1', inputs: [{ source: 'features', name: 'a' }], base: -1, trees: [[{ value: 0.25 }]] },
  ];
  const cell = fc.oneof(
    fc.constant(Number.NaN),
    fc.integer({ min: -10, max: 1_100 }),
    fc.double({ min: 0, max: 1, noNaN: true }),
  );

  it.each([0, 1, 2])('says what the model says, missing values included (model %i)', (at) => {
    const model = models[at];
    if (model === undefined) throw new Error('there is no such model');
    const file = onnxOf(model);
    fc.assert(
      fc.property(fc.array(cell, { minLength: 3, maxLength: 3 }), (row) => {
        const inputs = row.map((x) => (Number.isNaN(x) ? null : x));
        expect(logOddsBy(file, row)).toBeCloseTo(scoreOf({ model }, inputs).logOdds, 9);
      }),
      { numRuns: 60 },
    );
  });

  it('asks thresholds as the model does: what is equal goes right', () => {
    const split = { input: 0, threshold: 5, left: 1, right: 2, missing: 'left' as const };
    const model: TreeModel = {
      format: 'probity.tree.v1',
      inputs: [{ source: 'features', name: 'a' }],
      base: 0,
      trees: [[{ value: 0, split }, { value: 1 }, { value: 2 }]],
    };
    expect([4, 5, 6, Number.NaN].map((x) => logOddsBy(onnxOf(model), [x]))).toEqual([1, 2, 2, 1]);
    const right = {
      ...model,
      trees: [[{ value: 0, split: { ...split, missing: 'right' as const } }, { value: 1 }, { value: 2 }]],
    };
    expect(logOddsBy(onnxOf(right), [Number.NaN])).toBe(2);
  });
});
