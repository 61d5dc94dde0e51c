import { describe, expect, it } from '@jest/globals';
import { checkLearnable, checkMatrix, joined, rowsOf, splitByTime } from './matrix.js';
import { plantedRows } from './worlds.kit.js';

const rows = plantedRows(3_000, 31);

describe('rows', () => {
  it('are taken with all that belongs to them, more than once where asked', () => {
    const taken = rowsOf({ ...rows, weights: Float64Array.from(rows.labels, (_, at) => at) }, [5, 5, 2]);
    expect([...(taken.weights ?? [])]).toEqual([5, 5, 2]);
    for (const name of ['labels', 'groups', 'seconds'] as const)
      expect([...(taken[name] ?? [])]).toEqual([5, 5, 2].map((at) => rows[name][at]));
    expect([...(taken.columns[1] ?? [])]).toEqual([5, 5, 2].map((at) => rows.columns[1]?.[at]));
  });

  it('are refused where something is wrong with them, by name', () => {
    expect(() => checkLearnable(rows)).not.toThrow();
    const of = (change: object) => () => checkLearnable({ ...rows, ...change });
    expect(of({ names: ['a'] })).toThrow(/LEARNING_ROWS_INVALID: 1 names for 3 columns/);
    expect(of({ seconds: new Float64Array(2) })).toThrow(/2 seconds for 3000 rows/);
    expect(of({ weights: new Float64Array(3_000).fill(-1) })).toThrow(/a weight is from 0/);
    expect(of({ weights: Float64Array.from(rows.labels, (label) => 1 - label) })).toThrow(
      /^LEARNING_ROWS_INVALID: 0 frauds/,
    );
    expect(of({ labels: rows.labels.map(() => 2) })).toThrow(/a label is 0 or 1/);
    const infinite = rows.columns.map((column) => column.map(() => Number.NEGATIVE_INFINITY));
    expect(() => checkMatrix({ ...rows, columns: infinite })).toThrow(/column signal holds an infinite/);
  });
});

describe('a split by time', () => {
  it('leaves no row in training that is younger than one that is held out, also where rows come unsorted', () => {
    const mixed = rowsOf(
      rows,
      Array.from({ length: 3_000 }, (_, at) => (at * 7) % 3_000),
    );
    const { train, later } = splitByTime(mixed, 0.25);
    expect(later.labels.length).toBe(750);
    expect(Math.max(...(train.seconds ?? []))).toBeLessThan(Math.min(...(later.seconds ?? [])));
  });

  it('keeps rows of one second together', () => {
    const seconds = rows.seconds.map((second) => Math.floor(second / 60_000));
    const { train, later } = splitByTime({ ...rows, seconds }, 0.3);
    expect(Math.max(...(train.seconds ?? []))).toBeLessThan(Math.min(...(later.seconds ?? [])));
  });

  it('is undone by joining both; columns of others and what only one of them says are refused', () => {
    const { train, later } = splitByTime(rows, 0.3);
    expect(joined(train, later)).toEqual(
      rowsOf(
        rows,
        rows.seconds.map((_, at) => at).sort((a, b) => (rows.seconds[a] ?? 0) - (rows.seconds[b] ?? 0) || a - b),
      ),
    );
    const weights = Float64Array.from(later.labels, () => 3);
    const weighted = joined(train, { ...later, weights }).weights ?? new Float64Array(0);
    expect([weighted[0], weighted.at(-1)]).toEqual([1, 3]);
    expect(() => joined(train, { ...later, names: ['a', 'b', 'c'] })).toThrow(/the same columns/);
    const { seconds: _, ...timeless } = later;
    expect(() => joined(train, timeless)).toThrow(/the same of each row/);
  });
});
