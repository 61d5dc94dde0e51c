import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { trainTrees } from '../../src/rails/learning/gradient-boosting.js';
import { DEFAULT_LOGISTIC, trainLogistic } from '../../src/rails/learning/logistic.js';
import { rowsOf, type TrainingMatrix } from '../../src/rails/learning/matrix.js';
import { logOddsOf } from '../../src/rails/learning/predict.js';
import { DEFAULT_TREES, type TreeSettings } from '../../src/rails/learning/tree-settings.js';
import type { LinearModel, TreeModel } from '../../src/rails/model/bundle.schema.js';
import { type HandbookRows, handbookRows } from './handbook-rows.js';

/** The size that HistGradientBoostingClassifier has without early stopping, and that of XGBoost's defaults: for comparing time. */
const AS_HGB: TreeSettings = {
  ...DEFAULT_TREES,
  rounds: 100,
  bags: 1,
  learningRate: 0.1,
  maxDepth: 30,
  maxLeaves: 31,
  minChildWeight: 1e-3,
  minRowsPerLeaf: 20,
  l2: 0,
  rowShare: 1,
  columnShare: 1,
  columnsPerNode: 1,
};
const AS_XGB: TreeSettings = {
  ...AS_HGB,
  learningRate: 0.3,
  maxDepth: 6,
  maxLeaves: 64,
  minChildWeight: 1,
  minRowsPerLeaf: 1,
  l2: 1,
};

const OWN: Readonly<Record<string, (rows: TrainingMatrix) => LinearModel | TreeModel>> = {
  trees: (rows) => trainTrees(rows, DEFAULT_TREES).model,
  'trees as hgb-100': (rows) => trainTrees(rows, AS_HGB).model,
  'trees as xgb': (rows) => trainTrees(rows, AS_XGB).model,
  logistic: (rows) => trainLogistic(rows, DEFAULT_LOGISTIC),
};

export interface Part {
  readonly name: string;
  /** Places of rows. */
  readonly train: Int32Array;
  readonly test: Int32Array;
  /** By name; all columns of the matrix unless given. */
  readonly columns?: readonly string[];
  /** Learners, and how often each is trained, for its time. */
  readonly own: Readonly<Record<string, number>>;
  readonly peers: Readonly<Record<string, number>>;
}

export interface Entry {
  readonly part: string;
  readonly learner: string;
  readonly wallMs: readonly number[];
  /** Of the processor: what else the machine does counts less here. */
  readonly cpuMs: readonly number[];
  readonly scores: Float64Array;
}

export interface Contest {
  readonly entries: readonly Entry[];
  /** Our average precision of a peer's scores less scikit-learn's, at most. */
  readonly disagreement: number;
  readonly versions: Readonly<Record<string, string>>;
}

/** The file and the folder that the environment names: PROBITY_TEST_HANDBOOK, PROBITY_PEERS_FOLDER. */
export async function openHandbook(): Promise<HandbookRows & { readonly folder: string }> {
  const file = process.env['PROBITY_TEST_HANDBOOK'];
  if (file === undefined) throw new Error('PROBITY_TEST_HANDBOOK names no file; see bench/peers/README.md');
  const folder = process.env['PROBITY_PEERS_FOLDER'] ?? mkdtempSync(join(tmpdir(), 'probity peers-'));
  mkdirSync(folder, { recursive: true });
  return { ...(await handbookRows(file, folder)), folder };
}

/** Ours and theirs on the same rows, each on one thread, one after the other. */
export async function contestOf(
  matrix: TrainingMatrix,
  folder: string,
  parts: readonly Part[],
  judge: (scores: Float64Array, labels: Uint8Array) => number | null,
): Promise<Contest> {
  const ours = parts.flatMap((part) =>
    Object.entries(part.own).map(([learner, times]) => entryOf(matrix, part, learner, times)),
  );
  for (const { name, train, test } of parts) {
    writeFileSync(join(folder, `${name}.train.i32`), train);
    writeFileSync(join(folder, `${name}.test.i32`), test);
  }
  const plan = {
    parts: parts.map(({ name, peers, columns }) => ({ name, peers, features: columns ?? matrix.names })),
  };
  writeFileSync(join(folder, 'plan.json'), JSON.stringify(plan));
  const python = process.env['PROBITY_PEERS_PYTHON'] ?? 'python3';
  await promisify(execFile)(python, [join('bench', 'peers', 'peers.py'), folder]);
  const { versions, results } = JSON.parse(readFileSync(join(folder, 'peers.json'), 'utf8')) as PeersFile;
  let disagreement = 0;
  const theirs = results.map(({ part, peer, wallMs, cpuMs, averagePrecision }) => {
    const bytes = readFileSync(join(folder, `${part}.${peer}.f64`));
    const scores = new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
    const test = parts.find(({ name }) => name === part)?.test ?? new Int32Array(0);
    const labels = Uint8Array.from(test, (row) => matrix.labels[row] ?? 0);
    disagreement = Math.max(disagreement, Math.abs((judge(scores, labels) ?? 0) - averagePrecision));
    return { part, learner: peer, wallMs, cpuMs, scores };
  });
  return { entries: [...ours, ...theirs], disagreement, versions };
}

interface PeersFile {
  readonly versions: Readonly<Record<string, string>>;
  readonly results: readonly {
    readonly part: string;
    readonly peer: string;
    readonly wallMs: readonly number[];
    readonly cpuMs: readonly number[];
    readonly averagePrecision: number;
  }[];
}

function entryOf(matrix: TrainingMatrix, part: Part, learner: string, times: number): Entry {
  const train = OWN[learner];
  if (train === undefined) throw new Error(`no learner of ours is called ${learner}`);
  const seen = columnsOf(matrix, part.columns ?? matrix.names);
  const rows = rowsOf(seen, part.train);
  const test = rowsOf(seen, part.test);
  const [wallMs, cpuMs]: [number[], number[]] = [[], []];
  let scores = new Float64Array(0);
  for (let time = 0; time < times; time += 1) {
    const [wall, cpu] = [performance.now(), process.cpuUsage()];
    const model = train(rows);
    const used = process.cpuUsage(cpu);
    wallMs.push(performance.now() - wall);
    cpuMs.push((used.user + used.system) / 1_000);
    if (time === times - 1) scores = Float64Array.from(logOddsOf(model, test.columns, test.labels.length));
  }
  return { part: part.name, learner, wallMs, cpuMs, scores };
}

/** The matrix as a learner sees it that is given these columns alone, in this order. */
export function columnsOf(matrix: TrainingMatrix, names: readonly string[]): TrainingMatrix {
  const columns = names.map((name) => {
    const column = matrix.columns[matrix.names.indexOf(name)];
    if (column === undefined) throw new Error(`the rows have no column ${name}`);
    return column;
  });
  return { ...matrix, names, columns };
}
