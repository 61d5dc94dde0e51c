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
const parts = splitByTime(rows, 0.3);
const budget = { seed: 4, trials: 6 };

describe('a search', () => {
  it('records each trial, begins with what was given, and takes the best on the later rows', () => {
    const told: number[] = [];
    const { trials, best } = searchTrees(parts, budget, around, { observe: (_, number) => told.push(number) });
    expect(told).toEqual([0, 1, 2, 3, 4, 5]);
    expect(trials[0]?.settings).toEqual(around);
    expect(best.averagePrecision).toBe(Math.max(...trials.map((trial) => trial.averagePrecision)));
    const { train, later } = parts;
    const { model } = trainTrees(train, best.settings);
    expect(averagePrecision(logOddsOf(model, later.columns, later.labels.length), later.labels)).toBe(
      best.averagePrecision,
    );
  });

  it('is the same for the same seed, another for another, and sees nothing of the later rows while it trains', () => {
    const found = searchTrees(parts, budget, around);
    expect(searchTrees(parts, budget, around)).toEqual(found);
    expect(searchTrees(parts, { ...budget, seed: 5 }, around).trials[1]).not.toEqual(found.trials[1]);
    // Other labels on the later rows: other figures, the same trials.
    const labels = rows.labels.slice();
    labels.set(shuffled(labels.subarray(2_100), 1), 2_100);
    const other = searchTrees(splitByTime({ ...rows, labels }, 0.3), budget, around);
    expect(other.trials.map(({ settings }) => settings)).toEqual(found.trials.map(({ settings }) => settings));
    expect(other.best.averagePrecision).toBeLessThan(found.best.averagePrecision / 2);
  });

  it('ends when it is told to, keeps what it has when that is enough, and refuses rows that cannot be judged', () => {
    expect(() => searchTrees(parts, budget, around, { stopped: () => true })).toThrow(/LEARNING_STOPPED/);
    expect(() => searchTrees(parts, { ...budget, trials: 0 }, around)).toThrow(/LEARNING_SETTINGS_INVALID/);
    let asked = 0;
    const { trials } = searchTrees(parts, budget, around, { enough: () => (asked += 1) > 2 });
    expect(trials).toEqual(searchTrees(parts, { ...budget, trials: 3 }, around).trials);
    expect(searchTrees(parts, budget, around, { enough: () => true }).trials).toHaveLength(1);
    const none = { ...parts.later, labels: new Uint8Array(parts.later.labels.length) };
    expect(() => searchTrees({ ...parts, later: none }, budget, around)).toThrow(/LEARNING_ROWS_INVALID/);
  });
});
