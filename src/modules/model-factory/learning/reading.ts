import { ProbityError } from '../../../rails/errors/probity-error.js';
import { DatasetFile, type RowKeys } from './dataset-file.js';
import { type PartRows, partRowsOf } from './dataset-matrix.js';
import type { ResolvedInput } from './inputs.js';
import type { LearningTask } from './learning-task.js';
import { type Part, partsOf, timeAt } from './parts.js';

const HOUR_MICROS = 3_600e6;

/** The rows of a task, part by part. */
export interface ReadRows {
  readonly train: PartRows | null;
  readonly later: PartRows | null;
  readonly eval: PartRows;
  readonly rule: string;
  /** Of each dataset, rows that are in no part, by reason. */
  readonly leftOut: readonly Readonly<Record<string, number>>[];
  /** Between the last row before and the first that is judged on; null where there are none before. */
  readonly gapHours: number | null;
}

/** About so many bytes a row takes beside its inputs, and so many each of them: the value, its bin, and what is taken while they are made. */
const [ROW_BYTES, INPUT_BYTES] = [160, 16];

/**
 * Refuses by what manifests and recipe say, before anything is read. Arrays of numbers lie outside of what a thread can be held to, so that their
 * size is reckoned ahead.
 *
 * @param inputs how many inputs are read
 * @throws MF_RESOURCE_EXHAUSTED
 */
export function demandWithinLimits({ datasets, recipe, kind, policy: { body } }: LearningTask, inputs: number): void {
  const files = datasets.flatMap(({ manifest }) => manifest.built.materialisations);
  const rows = files.reduce((sum, each) => sum + each.rows, 0);
  const bytes = files.reduce((sum, { ref }) => sum + ref.size, 0);
  const { limits, search } = body;
  if (rows > limits.rows_max) throw exhausted(`${rows} rows are more than ${limits.rows_max}`);
  if (bytes > limits.bytes_max) throw exhausted(`${bytes} bytes are more than ${limits.bytes_max}`);
  const needed = Math.ceil((rows * (ROW_BYTES + inputs * INPUT_BYTES)) / 2 ** 20);
  if (needed > limits.memory_mb)
    throw exhausted(`${rows} rows of ${inputs} inputs take about ${needed} MB, more than ${limits.memory_mb}`);
  if (kind !== 'train' || recipe.search === undefined) return;
  const { trials, seconds } = recipe.search;
  if (trials > search.trials_max) throw exhausted(`${trials} trials are more than ${search.trials_max}`);
  if (seconds > search.seconds_max) throw exhausted(`${seconds} seconds of search are more than ${search.seconds_max}`);
}

/**
 * Reads what the inputs want of all datasets. Every byte of a file was counted into its digest before a row of it is believed.
 *
 * @throws MF_MATERIALIZATION_DIGEST_MISMATCH, MF_SCHEMA_INCOMPATIBLE_WITH_RECIPE, MF_LEAKAGE_GUARD_VIOLATION, MF_TRAINING_ROWS_INSUFFICIENT
 */
export async function readRows(task: LearningTask, inputs: readonly ResolvedInput[]): Promise<ReadRows> {
  const files: DatasetFile[] = [];
  try {
    for (const { file, manifest } of task.datasets) {
      const [materialisation] = manifest.built.materialisations;
      if (materialisation === undefined)
        throw new ProbityError('MF_SCHEMA_INCOMPATIBLE_WITH_RECIPE', 'a dataset has no file of rows');
      files.push(await DatasetFile.open(file, materialisation));
    }
    const keys: RowKeys[] = [];
    for (const file of files) keys.push(await file.keys());
    const roled = keys.map((each, at) => ({ role: task.datasets[at]?.role ?? 'train', keys: each }));
    const parts = partsOf(roled, task.recipe.later_share_ppm, task.kind, task.policy.body);
    const all = [parts.train, parts.later, parts.eval];
    const rows: (PartRows | null)[] = [null, null, null];
    for (const [at, file] of files.entries()) {
      const own = all.flatMap((part, place) => (part?.dataset === at ? [{ part, place }] : []));
      const found = await partRowsOf(
        file,
        keys[at] ?? (await file.keys()),
        own.map(({ part }) => part),
        inputs,
      );
      own.forEach(({ place }, index) => (rows[place] = found[index] ?? null));
    }
    const [train = null, later = null, judged] = rows;
    if (judged === undefined || judged === null)
      throw new ProbityError('INTERNAL', 'the rows that are judged on were not read');
    const { rule, leftOut } = parts;
    return { train, later, eval: judged, rule, leftOut, gapHours: gapOf([parts.train, parts.later], parts.eval, keys) };
  } finally {
    for (const file of files) await file.close();
  }
}

function gapOf(before: readonly (Part | null)[], judged: Part, keys: readonly RowKeys[]): number | null {
  const keysOf = ({ dataset }: Part): RowKeys | undefined => keys[dataset];
  const ends = before.flatMap((part) => (part === null ? [] : [timeAt(part, part.places.length - 1, keysOf) ?? 0]));
  const first = timeAt(judged, 0, keysOf);
  return ends.length === 0 || first === undefined ? null : (first - Math.max(...ends)) / HOUR_MICROS;
}

/** The same rows as a model sees them that reads these inputs, in this order. */
export function seenBy(rows: PartRows, inputs: readonly ResolvedInput[]): PartRows {
  const { matrix } = rows;
  const names = inputs.map(({ source, name }) => `${source}.${name}`);
  return {
    ...rows,
    matrix: {
      ...matrix,
      names,
      columns: names.map((name) => {
        const column = matrix.columns[matrix.names.indexOf(name)];
        if (column === undefined) throw new ProbityError('INTERNAL', `the input ${name} was not read`);
        return column;
      }),
    },
  };
}

/** What several models read, each once. */
export function unionOf(...all: readonly (readonly ResolvedInput[])[]): readonly ResolvedInput[] {
  return [...new Map(all.flat().map((input) => [`${input.source}.${input.name}`, input])).values()];
}

function exhausted(detail: string): ProbityError {
  return new ProbityError('MF_RESOURCE_EXHAUSTED', `${detail}, which is what the policy mf.factory allows`);
}
