import { describe, expect, it } from '@jest/globals';
import { trainTrees } from './gradient-boosting.js';
import { splitByTime } from './matrix.js';
import { logOddsOf } from './predict.js';
import { averagePrecision } from './ranking.js';
import { searchTrees } from './search.js';
import { DEFAULT_TREES } from './tree-settings.js';
import { plantedRows, shuffled } from './worlds.kit.js';

const rows = plantedRows(3_000, 31);
const around = { ...DEFAULT_TREES, rounds: 20, bags: 1 };
const budget = { seed: 4, trials: 6, validationShare: 0.3 };

describe('a search', () => {
  it('records each trial, begins with what was given, and takes the best on the later rows', () => {
    const told: number[] = [];
    const { trials, best } = searchTrees(rows, budget, around, { observe: (_, number) => told.push(number) });
    expect(told).toEqual([0, 1, 2, 3, 4, 5]);
    expect(trials[0]?.settings).toEqual(around);
    expect(best.averagePrecision).toBe(Math.max(...trials.map((trial) => trial.averagePrecision)));
    const { train, later } = splitByTime(rows, 0.3);
    const { model } = trainTrees(train, best.settings);
    expect(averagePrecision(logOddsOf(model, later.columns, later.labels.length), later.labels)).toBe(
      best.averagePrecision,
    );
  });

  it('is the same for the same seed, another for another, and sees nothing of the later rows while it trains', () => {
    const found = searchTrees(rows, budget, around);
    expect(searchTrees(rows, budget, around)).toEqual(found);
    expect(searchTrees(rows, { ...budget, seed: 5 }, around).trials[1]).not.toEqual(found.trials[1]);
    // Other labels on the later rows: other figures, the same trials.
    const labels = rows.labels.slice();
    labels.set(shuffled(labels.subarray(2_100), 1), 2_100);
    const other = searchTrees({ ...rows, labels }, budget, around);
    expect(other.trials.map(({ settings }) => settings)).toEqual(found.trials.map(({ settings }) => settings));
    expect(other.best.averagePrecision).toBeLessThan(found.best.averagePrecision / 2);
  });

  it('ends when it is told to, and refuses rows that it cannot split', () => {
    expect(() => searchTrees(rows, budget, around, { stopped: () => true })).toThrow(/LEARNING_STOPPED/);
    expect(() => searchTrees(rows, { ...budget, trials: 0 }, around)).toThrow(/LEARNING_SETTINGS_INVALID/);
    expect(() => searchTrees(rows, { ...budget, validationShare: 1 }, around)).toThrow(/LEARNING_ROWS_INVALID/);
    const { seconds: _, ...timeless } = rows;
    expect(() => searchTrees(timeless, budget, around)).toThrow(/wants the time/);
  });
});
