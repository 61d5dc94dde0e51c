import { spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { learn } from '../../src/modules/model-factory/learning/learn.js';
import { DEFAULT_RECIPE } from '../../src/modules/model-factory/learning/recipe.schema.js';
import { learningThreads } from '../../src/modules/model-factory/learning/run-learning.js';
import { digestBytes, digestText } from '../../src/rails/digest.js';
import { trainTrees } from '../../src/rails/learning/gradient-boosting.js';
import { logisticOf } from '../../src/rails/learning/logistic-function.js';
import { DEFAULT_LOGISTIC, trainLogistic } from '../../src/rails/learning/logistic.js';
import { logOddsOf } from '../../src/rails/learning/predict.js';
import { DEFAULT_TREES } from '../../src/rails/learning/tree-settings.js';
import { plantedRows } from '../../src/rails/learning/worlds.kit.js';
import type { Bundle } from '../../src/rails/model/bundle.schema.js';
import { ONNX_TENSORS, onnxOf } from '../../src/rails/model/onnx-export.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { learningTask, plantedDataset } from '../support/learning-dataset.js';

const PACKAGES = process.env['PROBITY_TEST_ONNX'];
const PROGRAM = join(process.cwd(), '.build/src/modules/model-factory/learning/learning.worker.js');

/** A process of its own, since the runtime does not take arrays of the realm that a test runs in. */
const SCORER = `
const { InferenceSession, Tensor } = require('onnxruntime-node');
const { file, input, rows } = JSON.parse(require('node:fs').readFileSync(0, 'utf8'));
const numbers = rows.flat().map((x) => (x === null ? NaN : x));
const data = input === 'double' ? Float64Array.from(numbers) : Float32Array.from(numbers);
InferenceSession.create(Buffer.from(file, 'base64')).then(async (session) => {
  const tensor = new Tensor(input === 'double' ? 'float64' : 'float32', data, [rows.length, rows[0].length]);
  const { probability } = await session.run({ inputs: tensor });
  process.stdout.write(JSON.stringify([...probability.data]));
});
`;

function scoredOutside(file: Uint8Array, input: 'double' | 'float', columns: readonly Float64Array[]): number[] {
  const rows = Array.from(columns[0] ?? [], (_, row) => columns.map((column) => column[row] ?? null));
  const program = join(mkdtempSync(join(tmpdir(), 'probity-onnx-')), 'scorer.cjs');
  writeFileSync(program, SCORER);
  const { stdout, stderr } = spawnSync(process.execPath, [program], {
    env: { NODE_PATH: PACKAGES ?? '' },
    input: JSON.stringify({ file: Buffer.from(file).toString('base64'), input, rows }),
    maxBuffer: 64 * 1024 * 1024,
    encoding: 'utf8',
  });
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout) as number[];
}

/** The program of a thread that finds the runtime where the test was told that it is. */
function withPackages(): string {
  const program = join(mkdtempSync(join(tmpdir(), 'probity-onnx-')), 'thread.mjs');
  const lines = [
    `import Module from 'node:module';`,
    `process.env.NODE_PATH = ${JSON.stringify(PACKAGES)};`,
    `Module._initPaths();`,
    `await import(${JSON.stringify(PROGRAM)});`,
  ];
  writeFileSync(program, lines.join('\n'));
  return program;
}

/** With the real runtime, which `npm ci` does not bring: PROBITY_TEST_ONNX names a node_modules folder that has it. */
describe('an exported model in ONNX Runtime', () => {
  beforeAll(() => {
    if (PACKAGES === undefined) throw new Error('PROBITY_TEST_ONNX names no folder with onnxruntime-node');
  });

  const planted = plantedRows(3_000, 5);
  const models = {
    trees: trainTrees(planted, { ...DEFAULT_TREES, rounds: 100 }).model,
    linear: trainLogistic(planted, { ...DEFAULT_LOGISTIC, caps: { signal: 700 } }),
  };

  it.each([
    ['trees', 'double'],
    ['trees', 'float'],
    ['linear', 'double'],
    ['linear', 'float'],
  ] as const)('has our scores to a millionth: %s, %s', (kind, input) => {
    const model = models[kind];
    // Single precision sees `trend` rounded: a model of it is asked about what it sees.
    const columns = input === 'double' ? planted.columns : planted.columns.map((column) => column.map(Math.fround));
    const theirs = scoredOutside(onnxOf(model, { input }), input, planted.columns);
    const ours = logOddsOf(model, columns, 3_000).map(logisticOf);
    expect(theirs).toHaveLength(3_000);
    expect(Math.max(...theirs.map((score, row) => Math.abs(score - (ours[row] ?? 0))))).toBeLessThan(1e-6);
    // The twin: the file of another model has other scores.
    const other = scoredOutside(
      onnxOf(models[kind === 'trees' ? 'linear' : 'trees'], { input }),
      input,
      planted.columns,
    );
    expect(Math.max(...other.map((score, row) => Math.abs(score - (ours[row] ?? 0))))).toBeGreaterThan(0.01);
  });

  it('comes back as a candidate of others, is judged on our rows, and has the figures of the original', async () => {
    const recipe = { ...DEFAULT_RECIPE, learner: { kind: 'boosted_trees' as const, rounds: 30 } };
    const dataset = await plantedDataset({ rows: 2_500, seed: 1, splits: [0.6, 0.2, 0.2] });
    const made = await learn(learningTask([dataset], { recipe }), {
      monotonicMs: () => 0,
      onProgress: () => undefined,
      scoreExternal: () => Promise.reject(new Error('not asked')),
    });
    const { model } = made.bundle;
    if (model.format !== 'probity.tree.v1') throw new Error('these are trees');
    const file = Buffer.from(onnxOf(model, { input: 'float' }));
    const candidate: Bundle = {
      ...made.bundle,
      bundle_id: 'of-others',
      lineage: { trained_on: 'elsewhere', recipe: 'unknown', dataset_digest: digestText('elsewhere') },
      model: {
        format: 'probity.onnx.v1',
        inputs: model.inputs.map(({ source, name }) => ({ source, name })),
        missing: 'NaN',
        file: { base64: file.toString('base64'), sha256: digestBytes(file) },
        input_tensor: ONNX_TENSORS.input,
        output_tensor: ONNX_TENSORS.output,
      },
    };
    const threads = learningThreads(new SystemClock(), withPackages());
    const signal = new AbortController().signal;
    const task = learningTask([dataset], { kind: 'evaluate', candidate, active: made.bundle });
    const judged = await threads(task, { signal });
    expect(judged.receipt.result).toBe('PASS');
    for (const name of ['average_precision', 'roc_auc'] as const)
      expect(judged.report.quality[name].value).toBeCloseTo(made.report.quality[name].value, 3);
    expect(Math.abs(judged.report.active.difference?.value ?? 1)).toBeLessThan(1e-3);
    // The twin: a file that is no model is named.
    const broken = Buffer.from('no model');
    const spoilt = { ...candidate.model, file: { base64: broken.toString('base64'), sha256: digestBytes(broken) } };
    const other = { ...task, candidate: { ...candidate, model: spoilt } as Bundle };
    await expect(threads(other, { signal })).rejects.toMatchObject({ code: 'MF_MODEL_UNSCORABLE' });
  });
});
