import type { TrainingMatrix } from './matrix.js';

/** Value bins of a column; one code more stands for what is missing. */
export const MOST_BINS = 255;

/** Where the values of each column are cut: bin b holds cut[b − 1] ≤ x < cut[b]. A split is made at a cut and nowhere else. */
export interface Cuts {
  readonly cuts: readonly Float64Array[];
  /** Where a column begins in a histogram, which has two numbers per bin. Its bins of values come first, then the one of what is missing. */
  readonly first: Int32Array;
  readonly missing: Int32Array;
  /** Numbers in a histogram of all columns. */
  readonly size: number;
}

/** Rows as places in a histogram, row after row. */
export interface BinnedRows {
  readonly slots: Uint16Array | Uint32Array;
  readonly rows: number;
  readonly columns: number;
}

/**
 * A bin for each value where there are at most `most` of them, else bins of about equal weight. They depend on values and
 * weights alone, not on the order of the rows, and a row of weight 2 counts as two rows.
 */
export function cutsOf({ columns, weights }: TrainingMatrix, most = MOST_BINS): Cuts {
  const cuts = columns.map((column) => cutsOfColumn(column, weights, most));
  const first = new Int32Array(cuts.length);
  const missing = new Int32Array(cuts.length);
  let size = 0;
  cuts.forEach((own, at) => {
    first[at] = size;
    missing[at] = size + 2 * (own.length + 1);
    size += 2 * (own.length + 2);
  });
  return { cuts, first, missing, size };
}

function cutsOfColumn(column: Float64Array, weights: Float64Array | undefined, most: number): Float64Array {
  const { values, masses, total } = distinctOf(column, weights);
  const cuts: number[] = [];
  let [left, binsLeft, mass] = [total, most, 0];
  const each = values.length <= most;
  for (let at = 0; at + 1 < values.length; at += 1) {
    mass += masses[at] ?? 0;
    if (!each && mass * binsLeft < left) continue;
    if (binsLeft === 1) break;
    cuts.push(between(values[at] ?? 0, values[at + 1] ?? 0));
    left -= mass;
    mass = 0;
    binsLeft -= 1;
  }
  return Float64Array.from(cuts);
}

/** The different values, rising, and the weight of each. Rows that do not count and what is missing are left out. */
function distinctOf(
  column: Float64Array,
  weights: Float64Array | undefined,
): { readonly values: Float64Array; readonly masses: Float64Array; readonly total: number } {
  // Sorting numbers is several times faster than sorting places by their numbers.
  const sorted = weights === undefined ? column.slice().sort() : undefined;
  const order =
    weights === undefined
      ? undefined
      : Int32Array.from(column.keys())
          .filter((row) => (weights[row] ?? 0) > 0 && !Number.isNaN(column[row]))
          .sort((a, b) => (column[a] ?? 0) - (column[b] ?? 0));
  const size = sorted?.length ?? order?.length ?? 0;
  const values = new Float64Array(size);
  const masses = new Float64Array(size);
  let [count, total] = [0, 0];
  for (let at = 0; at < size; at += 1) {
    const row = order?.[at] ?? 0;
    const value = sorted === undefined ? (column[row] ?? 0) : (sorted[at] ?? 0);
    // NaN stands behind all numbers.
    if (Number.isNaN(value)) break;
    const mass = weights?.[row] ?? 1;
    if (count === 0 || value !== values[count - 1]) {
      values[count] = value;
      count += 1;
    }
    masses[count - 1] = (masses[count - 1] ?? 0) + mass;
    total += mass;
  }
  return { values: values.subarray(0, count), masses: masses.subarray(0, count), total };
}

/** A number above `low`, at most `high`: the middle, where there is one. */
function between(low: number, high: number): number {
  const middle = low + (high - low) / 2;
  return middle > low && Number.isFinite(middle) ? middle : high;
}

export function binned({ columns, labels }: TrainingMatrix, { cuts, first, missing, size }: Cuts): BinnedRows {
  const [rows, width] = [labels.length, columns.length];
  const slots = size <= 65_536 ? new Uint16Array(rows * width) : new Uint32Array(rows * width);
  columns.forEach((column, at) => {
    const own = cuts[at] ?? new Float64Array(0);
    const begin = first[at] ?? 0;
    for (let row = 0, place = at; row < rows; row += 1, place += width) {
      const x = column[row] ?? 0;
      slots[place] = Number.isNaN(x) ? (missing[at] ?? 0) : begin + 2 * binOf(x, own);
    }
  });
  return { slots, rows, columns: width };
}

/** How many cuts are at most x. */
function binOf(x: number, cuts: Float64Array): number {
  let [low, high] = [0, cuts.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (x < (cuts[middle] ?? 0)) high = middle;
    else low = middle + 1;
  }
  return low;
}
