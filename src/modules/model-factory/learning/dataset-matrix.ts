import type { TrainingMatrix } from '../../../rails/learning/matrix.js';
import { type DatasetFile, numberOf, type RowKeys } from './dataset-file.js';
import type { ResolvedInput } from './inputs.js';
import type { Part } from './parts.js';

/** The rows of a part as a learner sees them, with what a report is made by. One entry per row, in order of time. */
export interface PartRows {
  /** Weights are there where the rows are a sample. */
  readonly matrix: TrainingMatrix & Required<Pick<TrainingMatrix, 'groups' | 'seconds'>>;
  /** NaN: none. */
  readonly amounts: Float64Array;
  readonly micros: Float64Array;
  /** For each kind of slice the name of each row's slice. */
  readonly currency: readonly string[];
  readonly labelState: readonly string[];
  readonly split: readonly string[];
}

/**
 * Reads the parts of one file in one pass. A feature is the whole number that a snapshot holds, scaled as its definition says: it is the number that
 * a decision gives to a model, so nothing is divided here.
 */
export async function partRowsOf(
  file: DatasetFile,
  keys: RowKeys,
  parts: readonly Part[],
  inputs: readonly ResolvedInput[],
): Promise<readonly PartRows[]> {
  /** For each row of the file its part and its place there. */
  const [partOf, placeIn] = [new Int8Array(keys.rows).fill(-1), new Int32Array(keys.rows)];
  parts.forEach(({ places }, part) => {
    places.forEach((row, place) => {
      partOf[row] = part;
      placeIn[row] = place;
    });
  });
  const columns = parts.map(({ places }) => inputs.map(() => new Float64Array(places.length).fill(Number.NaN)));
  const wanted = new Map<string, number[]>();
  inputs.forEach(({ column }, at) => wanted.set(column, [...(wanted.get(column) ?? []), at]));
  await file.each([...wanted.keys()], (name, row, value) => {
    const part = partOf[row] ?? -1;
    if (part < 0) return;
    for (const at of wanted.get(name) ?? []) {
      const column = columns[part]?.[at];
      if (column !== undefined) column[placeIn[row] ?? 0] = numberOf(value);
    }
  });
  return parts.map((part, at) => rowsOfPart(part, keys, inputs, columns[at] ?? []));
}

function rowsOfPart(
  { places }: Part,
  keys: RowKeys,
  inputs: readonly ResolvedInput[],
  columns: readonly Float64Array[],
): PartRows {
  const from = (array: Float64Array): Float64Array => Float64Array.from(places, (row) => array[row] ?? 0);
  const textOf = ({ names, codes }: RowKeys['split']): readonly string[] =>
    Array.from(places, (row) => names[codes[row] ?? -1] ?? 'none');
  const weights = from(keys.weight);
  const micros = from(keys.micros);
  return {
    matrix: {
      names: inputs.map(({ source, name }) => `${source}.${name}`),
      columns,
      labels: Uint8Array.from(places, (row) => (keys.isFraud[row] === 1 ? 1 : 0)),
      ...(weights.some((weight) => weight !== 1) ? { weights } : {}),
      groups: Int32Array.from(places, (row) => keys.card[row] ?? -1),
      seconds: micros.map((each) => Math.floor(each / 1e6)),
    },
    amounts: from(keys.amount),
    micros,
    currency: textOf(keys.currency),
    labelState: textOf(keys.labelState),
    split: textOf(keys.split),
  };
}
