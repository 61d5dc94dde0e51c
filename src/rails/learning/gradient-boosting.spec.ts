import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { digestCanonical } from '../canonical-json.js';
import { digestText } from '../digest.js';
import { type Bundle, bundleFaults, BundleSchema, type TreeModel } from '../model/bundle.schema.js';
import { scoreOf } from '../model/score.js';
import { validatorOf } from '../validator.js';
import { type Progress, trainTrees } from './gradient-boosting.js';
import { rowsOf, splitByTime, type TrainingMatrix } from './matrix.js';
import { logOddsOf } from './predict.js';
import { SeededRandom } from './random.js';
import { averagePrecision, countOf } from './ranking.js';
import { DEFAULT_TREES, type TreeSettings } from './tree-settings.js';
import { plantedRows, shuffled } from './worlds.kit.js';

const PLAIN: TreeSettings = {
  ...DEFAULT_TREES,
  minRowsPerLeaf: 1,
  rounds: 20,
  learningRate: 0.2,
  maxDepth: 4,
  maxLeaves: 12,
  minChildWeight: 1,
  l2: 1,
  rowShare: 1,
  columnShare: 1,
  columnsPerNode: 1,
  bags: 1,
  monotone: {},
};
const SOME: TreeSettings = { ...PLAIN, rowShare: 0.6, columnShare: 0.7, columnsPerNode: 0.5, bags: 2 };

const rows = plantedRows(4_000, 7);
const digest = (matrix: TrainingMatrix, settings: TreeSettings): string =>
  digestCanonical(trainTrees(matrix, settings).model);

function bundleOf(model: TreeModel): Bundle {
  return {
    bundle_id: 'test',
    bundle_version: 1,
    compatibility: { feature_groups: [], input_contract: 'transaction.v1' },
    lineage: { trained_on: 'rows from a seed', recipe: 'spec', dataset_digest: digestText('nothing') },
    model,
  };
}

describe('boosted trees', () => {
  it('find a signal that was planted, in rows that they have not seen; with labels of other rows they find none', () => {
    const unseen = plantedRows(4_000, 8);
    const base = countOf(unseen.labels) / unseen.labels.length;
    const quality = (taught: Uint8Array, truth: Uint8Array): number => {
      const { model } = trainTrees({ ...rows, labels: taught }, PLAIN);
      return averagePrecision(logOddsOf(model, unseen.columns, unseen.labels.length), truth) ?? 0;
    };
    expect(quality(rows.labels, unseen.labels)).toBeGreaterThan(4 * base);
    expect(quality(shuffled(rows.labels, 3), shuffled(unseen.labels, 4))).toBeLessThan(1.4 * base);
  });

  it('come out as a bundle whose trees are sound', () => {
    const { model } = trainTrees(rows, SOME);
    expect(validatorOf(BundleSchema, 'the bundle').check(bundleOf(model)).ok).toBe(true);
    expect(bundleFaults(bundleOf(model))).toEqual([]);
  });

  it('say when served exactly what the learner says, missing values included', () => {
    for (const settings of [PLAIN, SOME]) {
      const { model } = trainTrees(rows, settings);
      const learnt = logOddsOf(model, rows.columns, rows.labels.length);
      for (let row = 0; row < 1_000; row += 1) {
        const inputs = rows.columns.map((column) => (Number.isNaN(column[row]) ? null : (column[row] ?? null)));
        expect(scoreOf({ model }, inputs).logOdds).toBe(learnt[row]);
      }
    }
  });

  it('are the same bytes for the same rows and seed, others for another seed', () => {
    expect(digest(rows, SOME)).toBe(digest(plantedRows(4_000, 7), SOME));
    expect(digest(rows, { ...SOME, seed: 2 })).not.toBe(digest(rows, SOME));
    // Written down once: a machine or an engine that adds otherwise is found here.
    expect(digest(rows, SOME)).toBe('153a5029682f2eee069e6b7a6795f12a1c497f2f35a4911878835df734225a68');
  });

  it('do not hang on the order of the rows where every tree sees all of them', () => {
    const mixed = rowsOf(rows, new SeededRandom(5).order(4_000));
    expect(digest(mixed, PLAIN)).toBe(digest(rows, PLAIN));
    expect(digest(mixed, SOME)).not.toBe(digest(rows, SOME));
  });

  it('take a row of weight 2 as two rows and one of weight 0 as none', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e6 }), (seed) => {
        const small = plantedRows(300, seed);
        if (countOf(small.labels) < 5) return;
        const random = new SeededRandom(seed, 1);
        const counts = Array.from({ length: 300 }, (_, row) => (row < 150 ? 1 : random.below(3)));
        const repeated = counts.flatMap((count, row) => Array.from({ length: count }, () => row));
        const settings = { ...PLAIN, rounds: 5, minChildWeight: 0.1 };
        const weighted = digest({ ...small, weights: Float64Array.from(counts) }, settings);
        expect(weighted).toBe(digest(rowsOf(small, repeated), settings));
        expect(weighted).not.toBe(digest(small, settings));
      }),
      { numRuns: 20 },
    );
  });

  it('weigh frauds as they are told', () => {
    const weights = Float64Array.from(rows.labels, (label) => (label === 1 ? 5 : 1));
    expect(digest(rows, { ...PLAIN, fraudWeight: 5 })).toBe(digest({ ...rows, weights }, PLAIN));
    expect(digest(rows, { ...PLAIN, fraudWeight: 5 })).not.toBe(digest(rows, PLAIN));
  });
});

describe('what is missing', () => {
  it('goes where the rows said: fraud that shows by a value that is not there is found', () => {
    const x = Float64Array.from({ length: 600 }, (_, row) => (row % 3 === 0 ? Number.NaN : row));
    const labels = Uint8Array.from({ length: 600 }, (_, row) => (row % 3 === 0 || row > 500 ? 1 : 0));
    const said = (labelsOf: Uint8Array): readonly number[] => {
      const { model } = trainTrees({ names: ['x'], columns: [x], labels: labelsOf }, PLAIN);
      return [null, 100, 550].map((value) => scoreOf({ model }, [value]).logOdds);
    };
    const [missing = 0, low = 0, high = 0] = said(labels);
    expect(missing).toBeGreaterThan(low + 2);
    expect(missing).toBeCloseTo(high, 1);
    // The other way round: there the missing ones are the harmless ones.
    const [harmless = 0, ...present] = said(labels.map((label, row) => (row % 3 === 0 ? 0 : row > 100 ? 1 : label)));
    expect(harmless).toBeLessThan(Math.max(...present) - 2);
  });

  it('goes with the heavier side where none was missing', () => {
    const x = Float64Array.from({ length: 200 }, (_, row) => row);
    const labels = Uint8Array.from({ length: 200 }, (_, row) => (row >= 150 ? 1 : 0));
    const { model } = trainTrees({ names: ['x'], columns: [x], labels }, { ...PLAIN, rounds: 1 });
    expect(model.trees[0]?.[0]?.split?.missing).toBe('left');
    expect(scoreOf({ model }, [null]).logOdds).toBe(scoreOf({ model }, [0]).logOdds);
  });
});

describe('a monotone constraint', () => {
  const input = fc.option(fc.double({ min: -2_000, max: 2_000, noNaN: true }), { nil: null });
  const number = fc.double({ min: -2_000, max: 2_000, noNaN: true });

  it('holds for any two inputs, and the rows alone would not have kept it', () => {
    // More signal is more fraud up to 900, and then suddenly none.
    const labels = rows.labels.map((label, row) => ((rows.columns[0]?.[row] ?? 0) > 950 ? 0 : label));
    const train = (monotone: TreeSettings['monotone']): TreeModel =>
      trainTrees({ ...rows, labels }, { ...PLAIN, rounds: 40, minChildWeight: 0.1, monotone }).model;
    const [free, held] = [train({}), train({ signal: 1, trend: -1 })];
    fc.assert(
      fc.property(number, number, input, input, (a, b, trend, noise) => {
        const [low, high] = a < b ? [a, b] : [b, a];
        const at = (signal: number): number => scoreOf({ model: held }, [signal, trend, noise]).logOdds;
        expect(at(low)).toBeLessThanOrEqual(at(high));
        const along = (x: number): number => scoreOf({ model: held }, [noise, x / 2_000, a]).logOdds;
        expect(along(low)).toBeGreaterThanOrEqual(along(high));
      }),
      { numRuns: 500 },
    );
    const freely = (signal: number): number => scoreOf({ model: free }, [signal, 0.5, 5]).logOdds;
    expect(freely(990)).toBeLessThan(freely(920));
    expect(scoreOf({ model: held }, [920, 0.2, 5]).logOdds).toBeGreaterThan(
      scoreOf({ model: held }, [100, 0.2, 5]).logOdds,
    );
  });
});

describe('a training', () => {
  it('stops when rows from later say that nothing is won any more, and keeps its best rounds', () => {
    const { train, later } = splitByTime(rows, 0.3);
    const { model, rounds, losses } = trainTrees(train, { ...PLAIN, rounds: 300, stopAfter: 10 }, { later });
    const [loss = []] = losses;
    expect(rounds).toEqual([model.trees.length]);
    expect(loss.length).toBe(model.trees.length + 10);
    expect(loss[model.trees.length - 1]).toBe(Math.min(...loss));
    // The rounds that were kept are those of a training that never saw the later rows.
    expect(model).toEqual(trainTrees(train, { ...PLAIN, rounds: model.trees.length }).model);
  });

  it('tells of each round, and ends when it is told to', () => {
    const seen: Progress[] = [];
    trainTrees(rows, { ...PLAIN, rounds: 3, bags: 2 }, { observe: (progress) => seen.push(progress) });
    expect(seen.map(({ bag, round, of }) => `${bag}.${round}/${of}`)).toEqual([
      '0.0/6',
      '0.1/6',
      '0.2/6',
      '1.0/6',
      '1.1/6',
      '1.2/6',
    ]);
    const stopped = (): boolean => seen.length >= 8;
    expect(() => trainTrees(rows, PLAIN, { observe: (each) => seen.push(each), stopped })).toThrow(/LEARNING_STOPPED/);
    expect(seen.length).toBe(8);
  });

  it('keeps depth, leaves and the weight of a leaf within what it was told', () => {
    const { model } = trainTrees(rows, { ...PLAIN, maxDepth: 3, maxLeaves: 6 });
    const depthOf = (nodes: TreeModel['trees'][number], at: number): number => {
      const split = nodes[at]?.split;
      return split === undefined ? 0 : 1 + Math.max(depthOf(nodes, split.left), depthOf(nodes, split.right));
    };
    expect(Math.max(...model.trees.map((nodes) => depthOf(nodes, 0)))).toBe(3);
    expect(Math.max(...model.trees.map((nodes) => nodes.filter(({ split }) => split === undefined).length))).toBe(6);
    const stump = trainTrees(rows, { ...PLAIN, minChildWeight: 1e6 }).model;
    expect(stump.trees.every((nodes) => nodes.length === 1)).toBe(true);
  });

  it('refuses rows and settings that it cannot work with', () => {
    const none = new Uint8Array(4_000);
    expect(() => trainTrees({ ...rows, labels: none }, PLAIN)).toThrow(/LEARNING_ROWS_INVALID: 0 frauds/);
    const wild = [
      rows.columns[0] ?? new Float64Array(),
      Float64Array.from(none, () => Number.POSITIVE_INFINITY),
      new Float64Array(4_000),
    ];
    expect(() => trainTrees({ ...rows, columns: wild }, PLAIN)).toThrow(/column trend holds an infinite/);
    expect(() => trainTrees({ ...rows, columns: rows.columns.slice(1) }, PLAIN)).toThrow(/3 names for 2 columns/);
    expect(() => trainTrees(rows, { ...PLAIN, maxDepth: 0 })).toThrow(
      /LEARNING_SETTINGS_INVALID: maxDepth is a whole number from 1/,
    );
    expect(() => trainTrees(rows, { ...PLAIN, rounds: 600, bags: 2 })).toThrow(/more than 1000 trees/);
    expect(() => trainTrees(rows, { ...PLAIN, monotone: { other: 1 } })).toThrow(/monotone names other/);
  });
});

describe('the least number of rows per leaf', () => {
  /** How many rows of the training come to each leaf of each tree. */
  function rowsOfLeaves(
    { trees }: ReturnType<typeof trainTrees>['model'],
    columns: readonly Float64Array[],
    rows: number,
  ): number[] {
    return trees.flatMap((nodes) => {
      const counts = new Map<number, number>();
      for (let row = 0; row < rows; row += 1) {
        let node = 0;
        for (let split = nodes[0]?.split; split !== undefined; split = nodes[node]?.split) {
          const x = columns[split.input]?.[row] ?? Number.NaN;
          node = (Number.isNaN(x) ? split.missing === 'left' : x < split.threshold) ? split.left : split.right;
        }
        counts.set(node, (counts.get(node) ?? 0) + 1);
      }
      return [...counts.values()];
    });
  }

  const rows = plantedRows(2_000, 77);
  const settings = { ...DEFAULT_TREES, minRowsPerLeaf: 1, rounds: 15, minChildWeight: 0, maxDepth: 8, maxLeaves: 40 };

  it('is held in every leaf, with and without constraints', () => {
    for (const monotone of [{}, { trend: -1 } as const])
      for (const minRowsPerLeaf of [2, 25, 300]) {
        const { model } = trainTrees(rows, { ...settings, monotone, minRowsPerLeaf });
        expect(Math.min(...rowsOfLeaves(model, rows.columns, 2_000))).toBeGreaterThanOrEqual(minRowsPerLeaf);
        expect(model.trees.some((nodes) => nodes.length > 1)).toBe(true);
      }
    // Where nothing is demanded, some leaf has fewer.
    expect(Math.min(...rowsOfLeaves(trainTrees(rows, settings).model, rows.columns, 2_000))).toBeLessThan(25);
  });

  it('of one changes nothing, and of more than half of the rows leaves no split', () => {
    expect(trainTrees(rows, { ...settings, minRowsPerLeaf: 1 })).toEqual(trainTrees(rows, settings));
    const { model } = trainTrees(rows, { ...settings, minRowsPerLeaf: 1_001 });
    expect(model.trees.every((nodes) => nodes.length === 1)).toBe(true);
  });
});
