import type { BinnedRows, Cuts } from './binning.js';
import type { SeededRandom } from './random.js';

export interface GrowthSettings {
  readonly maxDepth: number;
  readonly maxLeaves: number;
  /** The least sum of p(1 − p), times weights, on each side of a split. */
  readonly minChildWeight: number;
  /** Penalty on the squares of what the leaves say. */
  readonly l2: number;
  /** What a split must gain. */
  readonly minGain: number;
  /** Share of a tree's columns that is tried at each node. */
  readonly columnsPerNode: number;
  /** For each column: 1 never falls, −1 never rises, 0 does as it likes. */
  readonly monotone: Int8Array;
}

/** One tree, its nodes in the order of their making: a child always stands after its parent. */
export interface GrownTree {
  readonly size: number;
  /** The column that is asked; −1 is a leaf. */
  readonly column: Int32Array;
  /** The last bin that goes left. */
  readonly bin: Int32Array;
  readonly left: Int32Array;
  readonly right: Int32Array;
  readonly missingLeft: Uint8Array;
  /** Of every node, what it would say as a leaf, before the learning rate. */
  readonly value: Float64Array;
  readonly gain: Float64Array;
}

/**
 * Grows trees over binned rows, the node with the greatest gain first. Gradients and curvatures come as whole numbers (units of
 * 1 / `scale`), so that sums are exact: neither the order of the rows nor the subtraction of histograms changes a bit of what is learnt.
 *
 * All memory is taken once. After `grow`, the rows of node n are `rows[start[n]] … rows[end[n] − 1]`.
 */
export class TreeGrower {
  readonly rows: Int32Array;
  readonly start: Int32Array;
  readonly end: Int32Array;
  readonly tree: GrownTree & { size: number };
  readonly #spare: Int32Array;
  readonly #binned: BinnedRows;
  readonly #settings: GrowthSettings;
  readonly #scale: number;
  readonly #constrained: boolean;
  /** Where the bins of a column begin in a histogram, and how many of them hold values; the one after them is missing. */
  readonly #offset: Int32Array;
  readonly #valueBins: Int32Array;
  readonly #slots: number;
  readonly #free: Float64Array[] = [];
  readonly #histogram: (Float64Array | undefined)[];
  readonly #depth: Int32Array;
  readonly #sumG: Float64Array;
  readonly #sumH: Float64Array;
  readonly #low: Float64Array;
  readonly #high: Float64Array;
  readonly #bestGain: Float64Array;
  readonly #bestColumn: Int32Array;
  readonly #bestBin: Int32Array;
  readonly #bestMissingLeft: Uint8Array;
  readonly #bestG: Float64Array;
  readonly #bestH: Float64Array;
  readonly #tried: Int32Array;

  constructor(binned: BinnedRows, { cuts }: Cuts, settings: GrowthSettings, scale: number) {
    const nodes = 2 * settings.maxLeaves;
    const ints = (): Int32Array => new Int32Array(nodes);
    const floats = (): Float64Array => new Float64Array(nodes);
    this.#binned = binned;
    this.#settings = settings;
    this.#scale = scale;
    this.#constrained = settings.monotone.some((sign) => sign !== 0);
    this.#offset = new Int32Array(cuts.length);
    this.#valueBins = Int32Array.from(cuts, (own) => own.length + 1);
    let slots = 0;
    this.#valueBins.forEach((count, at) => {
      this.#offset[at] = slots;
      slots += count + 1;
    });
    this.#slots = slots;
    this.rows = new Int32Array(binned.rows);
    this.#spare = new Int32Array(binned.rows);
    this.#histogram = Array.from({ length: nodes }, () => undefined);
    [this.start, this.end, this.#depth, this.#bestColumn, this.#bestBin] = [ints(), ints(), ints(), ints(), ints()];
    [this.#sumG, this.#sumH, this.#low, this.#high] = [floats(), floats(), floats(), floats()];
    [this.#bestGain, this.#bestG, this.#bestH] = [floats(), floats(), floats()];
    this.#bestMissingLeft = new Uint8Array(nodes);
    this.#tried = new Int32Array(binned.columns);
    this.tree = {
      size: 0,
      column: ints(),
      bin: ints(),
      left: ints(),
      right: ints(),
      missingLeft: new Uint8Array(nodes),
      value: floats(),
      gain: floats(),
    };
  }

  /**
   * @param pairs gradient and curvature of each row, one after the other  @param count how many of `rows` the tree is grown on
   * @param columns that it may ask
   */
  grow(pairs: Float64Array, count: number, columns: Int32Array, random: SeededRandom): GrownTree {
    const { tree } = this;
    const { maxLeaves } = this.#settings;
    tree.size = 1;
    let [g, h] = [0, 0];
    for (let at = 0; at < count; at += 1) {
      const row = this.rows[at] ?? 0;
      g += pairs[2 * row] ?? 0;
      h += pairs[2 * row + 1] ?? 0;
    }
    this.#place(0, 0, 0, count, g, h, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY);
    if (this.#mayBeSplit(0)) {
      const histogram = this.#taken();
      this.#fill(histogram, pairs, 0, count, columns);
      this.#histogram[0] = histogram;
      this.#search(0, histogram, columns, random);
    }
    for (let leaves = 1; leaves < maxLeaves; leaves += 1) {
      const node = this.#greatest();
      if (node < 0) break;
      this.#split(node, pairs, columns, random, leaves + 1 < maxLeaves);
    }
    for (let node = 0; node < tree.size; node += 1) this.#release(node);
    return tree;
  }

  #place(
    node: number,
    depth: number,
    start: number,
    end: number,
    g: number,
    h: number,
    low: number,
    high: number,
  ): void {
    this.#depth[node] = depth;
    this.start[node] = start;
    this.end[node] = end;
    this.#sumG[node] = g;
    this.#sumH[node] = h;
    this.#low[node] = low;
    this.#high[node] = high;
    this.#bestGain[node] = 0;
    this.tree.column[node] = -1;
    this.tree.gain[node] = 0;
    this.tree.value[node] = this.#valueOf(g, h, low, high);
  }

  #valueOf(g: number, h: number, low: number, high: number): number {
    return Math.max(low, Math.min(high, -g / (h + this.#settings.l2 * this.#scale)));
  }

  #mayBeSplit(node: number): boolean {
    return (
      (this.#depth[node] ?? 0) < this.#settings.maxDepth &&
      (this.#sumH[node] ?? 0) >= 2 * this.#settings.minChildWeight * this.#scale
    );
  }

  #greatest(): number {
    let [best, greatest] = [-1, 0];
    for (let node = 0; node < this.tree.size; node += 1)
      if (this.tree.column[node] === -1 && (this.#bestGain[node] ?? 0) > greatest) {
        greatest = this.#bestGain[node] ?? 0;
        best = node;
      }
    return best;
  }

  #split(node: number, pairs: Float64Array, columns: Int32Array, random: SeededRandom, goesOn: boolean): void {
    const { tree } = this;
    const [left, right] = [tree.size, tree.size + 1];
    const column = this.#bestColumn[node] ?? 0;
    const [start, end] = [this.start[node] ?? 0, this.end[node] ?? 0];
    tree.size += 2;
    tree.column[node] = column;
    tree.bin[node] = this.#bestBin[node] ?? 0;
    tree.missingLeft[node] = this.#bestMissingLeft[node] ?? 0;
    tree.left[node] = left;
    tree.right[node] = right;
    tree.gain[node] = (this.#bestGain[node] ?? 0) / this.#scale;
    const middle = this.#divide(node, column, start, end);
    const [g, h] = [this.#bestG[node] ?? 0, this.#bestH[node] ?? 0];
    const [otherG, otherH] = [(this.#sumG[node] ?? 0) - g, (this.#sumH[node] ?? 0) - h];
    const [low, high] = [this.#low[node] ?? 0, this.#high[node] ?? 0];
    const depth = (this.#depth[node] ?? 0) + 1;
    const sign = this.#settings.monotone[column] ?? 0;
    let [leftLow, leftHigh, rightLow, rightHigh] = [low, high, low, high];
    if (sign !== 0) {
      // Nothing below the left child may say more than anything below the right one, or the other way round.
      const edge = (this.#valueOf(g, h, low, high) + this.#valueOf(otherG, otherH, low, high)) / 2;
      if (sign > 0) [leftHigh, rightLow] = [edge, edge];
      else [leftLow, rightHigh] = [edge, edge];
    }
    this.#place(left, depth, start, middle, g, h, leftLow, leftHigh);
    this.#place(right, depth, middle, end, otherG, otherH, rightLow, rightHigh);
    if (goesOn) this.#prepareChildren(node, left, right, pairs, columns, random);
    this.#release(node);
  }

  /** The smaller child's histogram is counted, the larger one's is what is left of the parent's. */
  #prepareChildren(
    node: number,
    left: number,
    right: number,
    pairs: Float64Array,
    columns: Int32Array,
    random: SeededRandom,
  ): void {
    const rowsOf = (child: number): number => (this.end[child] ?? 0) - (this.start[child] ?? 0);
    const [smaller, larger] = rowsOf(left) <= rowsOf(right) ? [left, right] : [right, left];
    const parent = this.#histogram[node];
    if (parent === undefined || (!this.#mayBeSplit(left) && !this.#mayBeSplit(right))) return;
    const own = this.#taken();
    this.#fill(own, pairs, this.start[smaller] ?? 0, this.end[smaller] ?? 0, columns);
    this.#histogram[smaller] = own;
    if (this.#mayBeSplit(larger)) {
      for (let at = 0; at < parent.length; at += 1) parent[at] = (parent[at] ?? 0) - (own[at] ?? 0);
      this.#histogram[larger] = parent;
      this.#histogram[node] = undefined;
    }
    // The left one first: the order in which chance is asked is part of the outcome.
    for (const child of [left, right]) {
      const histogram = this.#histogram[child];
      if (histogram === undefined) continue;
      if (this.#mayBeSplit(child)) this.#search(child, histogram, columns, random);
      if (this.#bestGain[child] === 0) this.#release(child);
    }
  }

  #taken(): Float64Array {
    return this.#free.pop() ?? new Float64Array(2 * this.#slots);
  }

  #release(node: number): void {
    const histogram = this.#histogram[node];
    if (histogram === undefined) return;
    this.#free.push(histogram);
    this.#histogram[node] = undefined;
  }

  #fill(histogram: Float64Array, pairs: Float64Array, start: number, end: number, columns: Int32Array): void {
    histogram.fill(0);
    fillHistogram(
      histogram,
      this.#binned.codes,
      this.#binned.columns,
      this.rows,
      pairs,
      start,
      end,
      columns,
      this.#offset,
    );
  }

  /** Rows that go left stand before those that go right, both in the order that they had. Returns where the right ones begin. */
  #divide(node: number, column: number, start: number, end: number): number {
    const { rows } = this;
    const { codes, columns } = this.#binned;
    const spare = this.#spare;
    const bin = this.tree.bin[node] ?? 0;
    const missing = this.#valueBins[column] ?? 0;
    const missingLeft = this.tree.missingLeft[node] === 1;
    let [lefts, rights] = [start, 0];
    for (let at = start; at < end; at += 1) {
      const row = rows[at] ?? 0;
      const code = codes[row * columns + column] ?? 0;
      if (code === missing ? missingLeft : code <= bin) {
        rows[lefts] = row;
        lefts += 1;
      } else {
        spare[rights] = row;
        rights += 1;
      }
    }
    rows.set(spare.subarray(0, rights), lefts);
    return lefts;
  }

  /** The best split of a node: the first of equally good ones, by column, missing to the right before left, and bin. */
  #search(node: number, histogram: Float64Array, columns: Int32Array, random: SeededRandom): void {
    const share = this.#settings.columnsPerNode;
    let count = columns.length;
    this.#tried.set(columns);
    if (share < 1) {
      count = Math.max(1, Math.round(share * columns.length));
      for (let at = 0; at < count; at += 1) {
        const other = at + random.below(columns.length - at);
        const held = this.#tried[at] ?? 0;
        this.#tried[at] = this.#tried[other] ?? 0;
        this.#tried[other] = held;
      }
      this.#tried.subarray(0, count).sort();
    }
    for (let at = 0; at < count; at += 1) {
      const column = this.#tried[at] ?? 0;
      const missing = 2 * ((this.#offset[column] ?? 0) + (this.#valueBins[column] ?? 0));
      const missingH = histogram[missing + 1] ?? 0;
      this.#scan(node, histogram, column, 0, 0);
      if (missingH > 0) this.#scan(node, histogram, column, histogram[missing] ?? 0, missingH);
    }
  }

  /** All cuts of a column, with what is missing (its sums, 0 where it goes right) on the left. */
  #scan(node: number, histogram: Float64Array, column: number, missingG: number, missingH: number): void {
    const { minChildWeight, l2, minGain, monotone } = this.#settings;
    const least = minChildWeight * this.#scale;
    const penalty = l2 * this.#scale;
    const [g, h] = [this.#sumG[node] ?? 0, this.#sumH[node] ?? 0];
    const [low, high] = [this.#low[node] ?? 0, this.#high[node] ?? 0];
    const constrained = this.#constrained;
    const sign = monotone[column] ?? 0;
    const own = constrained ? said(g, h + penalty, this.tree.value[node] ?? 0) : (g * g) / (h + penalty);
    const first = this.#offset[column] ?? 0;
    const last = first + (this.#valueBins[column] ?? 0) - 1;
    let [leftG, leftH] = [missingG, missingH];
    let bestGain = Math.max(this.#bestGain[node] ?? 0, minGain * this.#scale);
    for (let slot = first; slot < last; slot += 1) {
      leftG += histogram[2 * slot] ?? 0;
      leftH += histogram[2 * slot + 1] ?? 0;
      const rightH = h - leftH;
      if (leftH < least) continue;
      if (rightH < least) break;
      const rightG = g - leftG;
      let gain = 0;
      if (constrained) {
        const leftValue = Math.max(low, Math.min(high, -leftG / (leftH + penalty)));
        const rightValue = Math.max(low, Math.min(high, -rightG / (rightH + penalty)));
        if (sign * (rightValue - leftValue) < 0) continue;
        gain = (said(leftG, leftH + penalty, leftValue) + said(rightG, rightH + penalty, rightValue) - own) / 2;
      } else gain = ((leftG * leftG) / (leftH + penalty) + (rightG * rightG) / (rightH + penalty) - own) / 2;
      if (gain > bestGain) {
        bestGain = gain;
        this.#bestGain[node] = gain;
        this.#bestColumn[node] = column;
        this.#bestBin[node] = slot - first;
        this.#bestG[node] = leftG;
        this.#bestH[node] = leftH;
        // Where nothing is missing here, it will go with the heavier side.
        this.#bestMissingLeft[node] =
          missingH > 0 || (this.#missingH(histogram, column) === 0 && leftH >= rightH) ? 1 : 0;
      }
    }
  }

  #missingH(histogram: Float64Array, column: number): number {
    return histogram[2 * ((this.#offset[column] ?? 0) + (this.#valueBins[column] ?? 0)) + 1] ?? 0;
  }
}

/** Twice what a node wins by saying `value`: for the best value without bounds this is g² / h. */
function said(g: number, h: number, value: number): number {
  return -(2 * g * value + h * value * value);
}

/** The inner loop of all training: no call, no allocation, one pass over the rows. */
function fillHistogram(
  histogram: Float64Array,
  codes: Uint8Array,
  width: number,
  rows: Int32Array,
  pairs: Float64Array,
  start: number,
  end: number,
  columns: Int32Array,
  offset: Int32Array,
): void {
  const count = columns.length;
  for (let at = start; at < end; at += 1) {
    const row = rows[at] ?? 0;
    const g = pairs[2 * row] ?? 0;
    const h = pairs[2 * row + 1] ?? 0;
    const from = row * width;
    for (let each = 0; each < count; each += 1) {
      const column = columns[each] ?? 0;
      const slot = 2 * ((offset[column] ?? 0) + (codes[from + column] ?? 0));
      histogram[slot] = (histogram[slot] ?? 0) + g;
      histogram[slot + 1] = (histogram[slot + 1] ?? 0) + h;
    }
  }
}
