import { ProbityError } from '../errors/probity-error.js';
import type { TreeModel } from '../model/bundle.schema.js';
import { exp } from '../model/exp.js';
import { ln } from '../model/ln.js';
import { type BinnedRows, binned, type Cuts, cutsOf } from './binning.js';
import { quickLogistic, wholeOf } from './logistic-function.js';
import { checkLearnable, checkMatrix, type TrainingMatrix } from './matrix.js';
import { SeededRandom } from './random.js';
import { checkTreeSettings, type TreeSettings } from './tree-settings.js';
import { type GrownTree, TreeGrower } from './tree-growth.js';

export interface Progress {
  readonly bag: number;
  readonly round: number;
  /** Rounds of all bags together, as far as they may go. */
  readonly of: number;
  /** On the later rows, where there are any. */
  readonly loss?: number;
}

export interface Surroundings {
  /** Later in time than what is trained on; they decide when to stop and teach nothing else. */
  readonly later?: TrainingMatrix;
  /** The reason that each column gives (by name), and where it comes from; features by default. */
  readonly inputs?: TreeModel['inputs'];
  readonly observe?: (progress: Progress) => void;
  /** Asked before each round. */
  readonly stopped?: () => boolean;
}

export interface TrainedTrees {
  readonly model: TreeModel;
  /** What the splits on each column gained, over all bags. */
  readonly gain: Float64Array;
  /** How many trees each bag kept. */
  readonly rounds: readonly number[];
  /** Log loss on the later rows after each round, bag by bag. */
  readonly losses: readonly (readonly number[])[];
}

/**
 * Gradient boosted trees over histograms, for the logistic loss. Additions, multiplications, divisions and comparisons in a
 * fixed order, sums of whole numbers: the same rows, settings and seed give the same bytes on any machine. Where all rows and columns are
 * seen by each tree, the order of the rows changes nothing either; otherwise chance falls on places.
 */
export function trainTrees(matrix: TrainingMatrix, settings: TreeSettings, around: Surroundings = {}): TrainedTrees {
  checkLearnable(matrix);
  checkTreeSettings(settings, matrix.names);
  const { later } = around;
  if (later !== undefined) checkMatrix(later);
  const cuts = cutsOf(matrix, settings.maxBins);
  const ground: Ground = {
    settings,
    around,
    cuts,
    rows: binned(matrix, cuts),
    labels: matrix.labels,
    weights: weightsOf(matrix, settings.fraudWeight),
    signs: Int8Array.from(matrix.names, (name) => settings.monotone[name] ?? 0),
    ...(later === undefined
      ? {}
      : {
          later: {
            rows: binned(later, cuts),
            labels: later.labels,
            weights: weightsOf(later, settings.fraudWeight),
          },
        }),
  };
  const base = baseOf(matrix.labels, ground.weights);
  const gain = new Float64Array(matrix.names.length);
  const bags = Array.from({ length: settings.bags }, (_, bag) => trainBag(ground, base, bag, gain));
  return {
    model: {
      format: 'probity.tree.v1',
      inputs: around.inputs ?? matrix.names.map((name) => ({ source: 'features', name })),
      base,
      trees: bags.flatMap(({ trees }) => trees),
    },
    gain,
    rounds: bags.map(({ trees }) => trees.length),
    losses: bags.map(({ losses }) => losses),
  };
}

interface Ground {
  readonly settings: TreeSettings;
  readonly around: Surroundings;
  readonly cuts: Cuts;
  readonly rows: BinnedRows;
  readonly labels: Uint8Array;
  readonly weights: Float64Array | undefined;
  readonly signs: Int8Array;
  readonly later?: {
    readonly rows: BinnedRows;
    readonly labels: Uint8Array;
    readonly weights: Float64Array | undefined;
  };
}

type Tree = TreeModel['trees'][number];

function trainBag(
  ground: Ground,
  base: number,
  bag: number,
  gain: Float64Array,
): { readonly trees: Tree[]; readonly losses: readonly number[] } {
  const { settings, around, cuts, rows, labels, weights, later } = ground;
  const { rounds, learningRate, bags, stopAfter } = settings;
  const scale = scaleOf(labels.length, weights);
  const grower = new TreeGrower(rows, cuts, { ...settings, monotone: ground.signs }, scale);
  const scores = new Float64Array(labels.length).fill(base);
  const laterScores = new Float64Array(later?.labels.length ?? 0).fill(base);
  const pairs = new Float64Array(2 * labels.length);
  const random = new SeededRandom(settings.seed, bag);
  const seen = new Uint8Array(labels.length);
  const everyRow = settings.rowShare >= 1 && weights === undefined ? Int32Array.from(labels.keys()) : undefined;
  const gains: Float64Array[] = [];
  const trees: Tree[] = [];
  const losses: number[] = [];
  let best = 0;
  for (let round = 0; round < rounds; round += 1) {
    if (around.stopped?.() === true)
      throw new ProbityError('LEARNING_STOPPED', `stopped before round ${round + 1} of bag ${bag + 1}`);
    fillPairs(pairs, scores, labels, weights, scale);
    if (everyRow !== undefined) grower.rows.set(everyRow);
    const count = everyRow?.length ?? drawRows(grower.rows, seen, weights, settings.rowShare, random);
    const tree = grower.grow(pairs, count, drawColumns(rows.columns, settings.columnShare, random), random);
    addInside(tree, grower, scores, learningRate);
    if (count < labels.length) addOutside(tree, cuts, rows, scores, learningRate, seen);
    trees.push(nodesOf(tree, cuts, learningRate / bags));
    gains.push(gainsOf(tree, rows.columns));
    let loss: number | undefined;
    if (later !== undefined) {
      addOutside(tree, cuts, later.rows, laterScores, learningRate);
      loss = lossOf(laterScores, later.labels, later.weights);
      losses.push(loss);
      if (loss < (losses[best] ?? 0)) best = round;
    }
    around.observe?.({ bag, round, of: rounds * bags, ...(loss === undefined ? {} : { loss }) });
    if (later !== undefined && round - best >= stopAfter) break;
  }
  const kept = later === undefined ? trees.length : best + 1;
  for (const own of gains.slice(0, kept)) own.forEach((each, column) => (gain[column] = (gain[column] ?? 0) + each));
  return { trees: trees.slice(0, kept), losses };
}

/** Labels' weights with what a fraud counts more; undefined where each row counts once. */
function weightsOf({ labels, weights }: TrainingMatrix, fraudWeight: number): Float64Array | undefined {
  if (weights === undefined && fraudWeight === 1) return undefined;
  return Float64Array.from(labels, (label, row) => (weights?.[row] ?? 1) * (label === 1 ? fraudWeight : 1));
}

/** Log odds of fraud among all rows. */
function baseOf(labels: Uint8Array, weights: Float64Array | undefined): number {
  let [frauds, others] = [0, 0];
  labels.forEach((label, row) => {
    const weight = weights?.[row] ?? 1;
    if (label === 1) frauds += weight;
    else others += weight;
  });
  return ln(frauds / others);
}

/** A power of two by which gradients become whole numbers, small enough that no sum of them leaves the exact range of a double. */
function scaleOf(rows: number, weights: Float64Array | undefined): number {
  const total = weights === undefined ? rows : weights.reduce((sum, weight) => sum + weight, 0);
  let scale = 2 ** 30;
  while (scale > 1 && (total + rows) * scale > 2 ** 52) scale /= 2;
  return scale;
}

/** Gradient and curvature of the loss of each row, as whole numbers. */
function fillPairs(
  pairs: Float64Array,
  scores: Float64Array,
  labels: Uint8Array,
  weights: Float64Array | undefined,
  scale: number,
): void {
  for (let row = 0; row < labels.length; row += 1) {
    const p = quickLogistic(scores[row] ?? 0);
    // Rounded before it is weighted: a row of weight 2 is twice the row to the last bit.
    const g = wholeOf((p - (labels[row] ?? 0)) * scale);
    const h = Math.max(1, wholeOf(p * (1 - p) * scale));
    const weight = weights === undefined ? 1 : (weights[row] ?? 0);
    pairs[2 * row] = weight === 1 ? g : wholeOf(g * weight);
    pairs[2 * row + 1] = weight === 1 ? h : wholeOf(h * weight);
  }
}

/** Puts the rows that a tree sees into `rows`, marks them in `seen` and returns how many they are. Rows of no weight are never among them. */
function drawRows(
  rows: Int32Array,
  seen: Uint8Array,
  weights: Float64Array | undefined,
  share: number,
  random: SeededRandom,
): number {
  let count = 0;
  for (let row = 0; row < seen.length; row += 1) {
    const taken = (share >= 1 || random.unit() < share) && (weights === undefined || (weights[row] ?? 0) > 0);
    seen[row] = taken ? 1 : 0;
    if (!taken) continue;
    rows[count] = row;
    count += 1;
  }
  return count;
}

function drawColumns(columns: number, share: number, random: SeededRandom): Int32Array {
  if (share >= 1) return Int32Array.from({ length: columns }, (_, at) => at);
  return random
    .order(columns)
    .slice(0, Math.max(1, Math.round(share * columns)))
    .sort();
}

/** The rows that the tree was grown on already lie in its leaves. */
function addInside(tree: GrownTree, { rows, start, end }: TreeGrower, scores: Float64Array, rate: number): void {
  for (let node = 0; node < tree.size; node += 1) {
    if (tree.column[node] !== -1) continue;
    const value = rate * (tree.value[node] ?? 0);
    const last = end[node] ?? 0;
    for (let at = start[node] ?? 0; at < last; at += 1) {
      const row = rows[at] ?? 0;
      scores[row] = (scores[row] ?? 0) + value;
    }
  }
}

/** Walks the tree for the rows that are not marked in `seen`. */
function addOutside(
  tree: GrownTree,
  cuts: Cuts,
  { slots, rows, columns }: BinnedRows,
  scores: Float64Array,
  rate: number,
  seen?: Uint8Array,
): void {
  const { column, slot, left, right, missingLeft, value } = tree;
  for (let row = 0; row < rows; row += 1) {
    if (seen?.[row] === 1) continue;
    let node = 0;
    for (let asked = column[0] ?? -1; asked >= 0; asked = column[node] ?? -1) {
      const found = slots[row * columns + asked] ?? 0;
      const goesLeft = found <= (slot[node] ?? 0) || (missingLeft[node] === 1 && found === cuts.missing[asked]);
      node = (goesLeft ? left[node] : right[node]) ?? 0;
    }
    scores[row] = (scores[row] ?? 0) + rate * (value[node] ?? 0);
  }
}

/** The tree as it is served. */
function nodesOf(tree: GrownTree, { cuts, first }: Cuts, rate: number): Tree {
  return Array.from({ length: tree.size }, (_, node) => {
    const column = tree.column[node] ?? -1;
    const value = rate * (tree.value[node] ?? 0);
    if (column < 0) return { value };
    return {
      value,
      split: {
        input: column,
        threshold: cuts[column]?.[((tree.slot[node] ?? 0) - (first[column] ?? 0)) / 2] ?? 0,
        left: tree.left[node] ?? 0,
        right: tree.right[node] ?? 0,
        missing: tree.missingLeft[node] === 1 ? 'left' : 'right',
      },
    };
  });
}

function gainsOf(tree: GrownTree, columns: number): Float64Array {
  const gains = new Float64Array(columns);
  for (let node = 0; node < tree.size; node += 1) {
    const column = tree.column[node] ?? -1;
    if (column >= 0) gains[column] = (gains[column] ?? 0) + (tree.gain[node] ?? 0);
  }
  return gains;
}

/** Mean log loss, rows counted by weight. */
function lossOf(scores: Float64Array, labels: Uint8Array, weights: Float64Array | undefined): number {
  let [sum, total] = [0, 0];
  for (let row = 0; row < labels.length; row += 1) {
    const weight = weights === undefined ? 1 : (weights[row] ?? 0);
    const wrong = labels[row] === 1 ? -(scores[row] ?? 0) : (scores[row] ?? 0);
    // ln(1 + e^x), without overflow.
    sum += weight * (Math.max(wrong, 0) + ln(1 + exp(-Math.abs(wrong))));
    total += weight;
  }
  return sum / total;
}
