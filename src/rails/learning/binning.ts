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

/** Rows as places in a histogram. */
export interface BinnedRows {
  /** Row after row, as histograms are filled. */
  readonly slots: Uint16Array | Uint32Array;
  /** Column after column, as rows are divided by one of them: a column fits where all of them would not. */
  readonly byColumn: Uint16Array | Uint32Array;
  readonly rows: number;
  readonly columns: number;
}

/**
 * A bin for each value where there are at most `most` of them, else bins of about equal weight, where the frauds together weigh as much as all others:
 * cuts are dense where frauds lie, however few they are. They depend on values, labels and weights alone, not on the order of the rows, and a row of
 * weight 2 counts as two rows.
 */
export function cutsOf(matrix: TrainingMatrix, most = MOST_BINS): Cuts {
  const cuts = matrix.columns.map((column) => cutsOfColumn(distinctOf(column, matrix), most));
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

function cutsOfColumn({ values, frauds, others }: Distinct, most: number): Float64Array {
  const cuts: number[] = [];
  const [fraud, other] = [sumOf(frauds), sumOf(others)];
  // Each kind is weighed with the size of the other one: whole numbers, where the weights are.
  const massOf = (at: number): number =>
    (frauds[at] ?? 0) * (other === 0 ? 1 : other) + (others[at] ?? 0) * (fraud === 0 ? 1 : fraud);
  let [left, binsLeft, mass] = [0, most, 0];
  for (let at = 0; at < values.length; at += 1) left += massOf(at);
  const each = values.length <= most;
  for (let at = 0; at + 1 < values.length; at += 1) {
    mass += massOf(at);
    if (!each && mass * binsLeft < left) continue;
    if (binsLeft === 1) break;
    cuts.push(between(values[at] ?? 0, values[at + 1] ?? 0));
    left -= mass;
    mass = 0;
    binsLeft -= 1;
  }
  return Float64Array.from(cuts);
}

/** The different values, rising, and how many frauds and others (by weight) have each of them. */
interface Distinct {
  readonly values: Float64Array;
  readonly frauds: Float64Array;
  readonly others: Float64Array;
}

/** Rows that do not count and what is missing are left out. */
function distinctOf(column: Float64Array, { labels, weights }: TrainingMatrix): Distinct {
  if (weights === undefined) {
    // Sorting numbers is several times faster than sorting places by their numbers: all of them, then the few frauds again.
    const all = column.slice().sort();
    const ofFrauds = column.filter((_, row) => labels[row] === 1).sort();
    return countedTogether(all, ofFrauds);
  }
  const order = Int32Array.from(column.keys())
    .filter((row) => (weights[row] ?? 0) > 0 && !Number.isNaN(column[row]))
    .sort((a, b) => (column[a] ?? 0) - (column[b] ?? 0));
  const found = emptyDistinct(order.length);
  let count = 0;
  for (const row of order) {
    const value = column[row] ?? 0;
    if (count === 0 || value !== found.values[count - 1]) {
      found.values[count] = value;
      count += 1;
    }
    const kind = labels[row] === 1 ? found.frauds : found.others;
    kind[count - 1] = (kind[count - 1] ?? 0) + (weights[row] ?? 0);
  }
  return cutTo(found, count);
}

/** From the sorted values of all rows and those of the frauds among them; NaN stands behind all numbers. */
function countedTogether(all: Float64Array, ofFrauds: Float64Array): Distinct {
  const found = emptyDistinct(all.length);
  let [count, fraud] = [0, 0];
  for (let at = 0; at < all.length;) {
    const value = all[at] ?? 0;
    if (Number.isNaN(value)) break;
    let rows = 0;
    for (; at < all.length && all[at] === value; at += 1) rows += 1;
    let frauds = 0;
    for (; fraud < ofFrauds.length && ofFrauds[fraud] === value; fraud += 1) frauds += 1;
    found.values[count] = value;
    found.frauds[count] = frauds;
    found.others[count] = rows - frauds;
    count += 1;
  }
  return cutTo(found, count);
}

function emptyDistinct(size: number): Distinct {
  return { values: new Float64Array(size), frauds: new Float64Array(size), others: new Float64Array(size) };
}

function cutTo({ values, frauds, others }: Distinct, count: number): Distinct {
  return { values: values.subarray(0, count), frauds: frauds.subarray(0, count), others: others.subarray(0, count) };
}

function sumOf(numbers: Float64Array): number {
  return numbers.reduce((sum, each) => sum + each, 0);
}

/** A number above `low`, at most `high`: the middle, where there is one. */
function between(low: number, high: number): number {
  const middle = low + (high - low) / 2;
  return middle > low && Number.isFinite(middle) ? middle : high;
}

export function binned({ columns, labels }: TrainingMatrix, { cuts, first, missing, size }: Cuts): BinnedRows {
  const [rows, width] = [labels.length, columns.length];
  const empty = (): Uint16Array | Uint32Array =>
    size <= 65_536 ? new Uint16Array(rows * width) : new Uint32Array(rows * width);
  const [slots, byColumn] = [empty(), empty()];
  columns.forEach((column, at) => {
    const own = cuts[at] ?? new Float64Array(0);
    const begin = first[at] ?? 0;
    for (let row = 0, place = at; row < rows; row += 1, place += width) {
      const x = column[row] ?? 0;
      const slot = Number.isNaN(x) ? (missing[at] ?? 0) : begin + 2 * binOf(x, own);
      slots[place] = slot;
      byColumn[at * rows + row] = slot;
    }
  });
  return { slots, byColumn, rows, columns: width };
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
