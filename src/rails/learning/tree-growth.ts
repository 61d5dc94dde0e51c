import type { BinnedRows, Cuts } from './binning.js';
import {
  type Asked,
  divide,
  fillCounts,
  fillSome,
  fillWhole,
  fillWholeCounted,
  type Found,
  NOWHERE,
  scan,
  scanBounded,
  subtract,
} from './histograms.js';
import type { SeededRandom } from './random.js';

export interface GrowthSettings {
  readonly maxDepth: number;
  readonly maxLeaves: number;
  /** The least sum of p(1 − p), times weights, on each side of a split. */
  readonly minChildWeight: number;
  /** The least number of rows on each side of a split. */
  readonly minRowsPerLeaf: number;
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
  /** The last place of the column in a histogram that goes left. */
  readonly slot: Int32Array;
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
  readonly #cuts: Cuts;
  readonly #free: Float64Array[] = [];
  readonly #histogram: (Float64Array | undefined)[];
  readonly #depth: Int32Array;
  readonly #sumG: Float64Array;
  readonly #sumH: Float64Array;
  readonly #low: Float64Array;
  readonly #high: Float64Array;
  readonly #bestGain: Float64Array;
  readonly #bestColumn: Int32Array;
  readonly #bestSlot: Int32Array;
  readonly #bestMissingLeft: Uint8Array;
  readonly #bestG: Float64Array;
  readonly #bestH: Float64Array;
  readonly #tried: Int32Array;
  readonly #asked: Asked;
  readonly #found: Found = { gain: 0.5, column: -1, slot: 0, g: 0.5, h: 0.5, missingLeft: false };

  constructor(binned: BinnedRows, cuts: Cuts, settings: GrowthSettings, scale: number) {
    const nodes = 2 * settings.maxLeaves;
    const ints = (): Int32Array => new Int32Array(nodes);
    const floats = (): Float64Array => new Float64Array(nodes);
    this.#binned = binned;
    this.#settings = settings;
    this.#scale = scale;
    this.#constrained = settings.monotone.some((sign) => sign !== 0);
    this.#cuts = cuts;
    this.rows = new Int32Array(binned.rows);
    this.#spare = new Int32Array(binned.rows);
    this.#histogram = Array.from({ length: nodes }, () => undefined);
    [this.start, this.end, this.#depth, this.#bestColumn, this.#bestSlot] = [ints(), ints(), ints(), ints(), ints()];
    [this.#sumG, this.#sumH, this.#low, this.#high] = [floats(), floats(), floats(), floats()];
    [this.#bestGain, this.#bestG, this.#bestH] = [floats(), floats(), floats()];
    this.#bestMissingLeft = new Uint8Array(nodes);
    this.#tried = new Int32Array(binned.columns);
    this.#asked = {
      ...{ g: 0.5, h: 0.5, low: 0.5, high: 0.5, value: 0.5, least: 0.5, penalty: 0.5, sign: 0, rows: 0 },
      leastRows: settings.minRowsPerLeaf,
      countsFrom: cuts.size,
    };
    this.tree = {
      size: 0,
      column: ints(),
      slot: ints(),
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
      (this.#sumH[node] ?? 0) >= 2 * this.#settings.minChildWeight * this.#scale &&
      (this.end[node] ?? 0) - (this.start[node] ?? 0) >= 2 * this.#settings.minRowsPerLeaf
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
    tree.slot[node] = this.#bestSlot[node] ?? 0;
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
      subtract(parent, own);
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
    return this.#free.pop() ?? new Float64Array(this.#cuts.size * (this.#settings.minRowsPerLeaf > 1 ? 1.5 : 1));
  }

  #release(node: number): void {
    const histogram = this.#histogram[node];
    if (histogram === undefined) return;
    this.#free.push(histogram);
    this.#histogram[node] = undefined;
  }

  #fill(histogram: Float64Array, pairs: Float64Array, start: number, end: number, columns: Int32Array): void {
    const { slots, columns: width } = this.#binned;
    histogram.fill(0);
    // Numbers of rows stand behind the sums, so that what a parent has less its child is found for both by one subtraction.
    const [whole, counted] = [columns.length === width, this.#settings.minRowsPerLeaf > 1];
    const from = this.#cuts.size;
    if (whole && counted) fillWholeCounted(histogram, from, slots, width, this.rows, pairs, start, end);
    else if (whole) fillWhole(histogram, slots, width, this.rows, pairs, start, end);
    else fillSome(histogram, slots, width, this.rows, pairs, start, end, columns);
    if (counted && !whole) fillCounts(histogram, from, slots, width, this.rows, start, end, columns);
  }

  /** Rows that go left stand before those that go right, both in the order that they had. Returns where the right ones begin. */
  #divide(node: number, column: number, start: number, end: number): number {
    const missing = this.tree.missingLeft[node] === 1 ? (this.#cuts.missing[column] ?? NOWHERE) : NOWHERE;
    const { byColumn, rows } = this.#binned;
    return divide(this.rows, this.#spare, byColumn, column * rows, this.tree.slot[node] ?? 0, missing, start, end);
  }

  /** The best split of a node: the first of equally good ones, by column, missing to the right before left, and cut. */
  #search(node: number, histogram: Float64Array, columns: Int32Array, random: SeededRandom): void {
    const { columnsPerNode, minChildWeight, l2, minGain, monotone } = this.#settings;
    let count = columns.length;
    this.#tried.set(columns);
    if (columnsPerNode < 1) {
      count = Math.max(1, Math.round(columnsPerNode * columns.length));
      drawFirst(this.#tried, count, columns.length, random);
    }
    const asked = this.#asked;
    asked.g = this.#sumG[node] ?? 0;
    asked.h = this.#sumH[node] ?? 0;
    asked.low = this.#low[node] ?? 0;
    asked.high = this.#high[node] ?? 0;
    asked.value = this.tree.value[node] ?? 0;
    asked.least = minChildWeight * this.#scale;
    asked.penalty = l2 * this.#scale;
    asked.rows = (this.end[node] ?? 0) - (this.start[node] ?? 0);
    const found = this.#found;
    found.gain = minGain * this.#scale;
    found.column = -1;
    for (let at = 0; at < count; at += 1) {
      const column = this.#tried[at] ?? 0;
      asked.sign = monotone[column] ?? 0;
      const first = this.#cuts.first[column] ?? 0;
      const missing = this.#cuts.missing[column] ?? 0;
      const scanned = this.#constrained ? scanBounded : scan;
      scanned(asked, found, histogram, column, first, missing, false);
      if ((histogram[missing + 1] ?? 0) > 0) scanned(asked, found, histogram, column, first, missing, true);
    }
    if (found.column < 0) return;
    this.#bestGain[node] = found.gain;
    this.#bestColumn[node] = found.column;
    this.#bestSlot[node] = found.slot;
    this.#bestG[node] = found.g;
    this.#bestH[node] = found.h;
    this.#bestMissingLeft[node] = found.missingLeft ? 1 : 0;
  }
}

/** Puts `count` of the first `of` places, drawn by chance, to the front, rising. */
function drawFirst(places: Int32Array, count: number, of: number, random: SeededRandom): void {
  for (let at = 0; at < count; at += 1) {
    const other = at + random.below(of - at);
    const held = places[at] ?? 0;
    places[at] = places[other] ?? 0;
    places[other] = held;
  }
  places.subarray(0, count).sort();
}
