import { describe, expect, it } from '@jest/globals';
import { foldOf } from './folds.js';

const DAY_S = 86_400;
const PLAN = { start: 100 * DAY_S, trainDays: 7, gapDays: 7, testDays: 7 };

/** A row for each [day, card, label], day 0 being the first of training. */
function rows(of: readonly (readonly [number, number, number])[]) {
  return {
    names: ['x'],
    columns: [new Float64Array(of.length)],
    labels: Uint8Array.from(of, ([, , label]) => label),
    groups: Int32Array.from(of, ([, card]) => card),
    seconds: Float64Array.from(of, ([day], at) => (100 + day) * DAY_S + at),
  };
}

describe('a fold with late labels', () => {
  it('trains on its first days, judges on its last, and lets the gap and everything else be', () => {
    const found = foldOf(
      rows([
        [-1, 1, 0],
        [0, 1, 0],
        [6, 1, 0],
        [7, 1, 0],
        [13, 1, 0],
        [14, 1, 0],
        [20, 1, 1],
        [21, 1, 0],
      ]),
      PLAN,
    );
    expect([...found.train]).toEqual([1, 2]);
    expect([...found.test]).toEqual([5, 6]);
    expect([...found.days]).toEqual([14, 20]);
  });

  it('removes a card once its fraud is known, and not a day before', () => {
    // A fraud in training, one on the second day of the gap (day 8: known on day 16), one within the test.
    const found = foldOf(
      rows([
        [3, 1, 1],
        [8, 2, 1],
        [14, 3, 1],
        [14, 1, 0],
        [15, 2, 1],
        [16, 2, 1],
        [20, 3, 1],
      ]),
      PLAN,
    );
    expect([...found.test]).toEqual([2, 4, 6]);
  });

  it('knows the last day of training at once, as the protocol does', () => {
    expect([
      ...foldOf(
        rows([
          [6, 1, 1],
          [14, 1, 1],
          [14, 2, 1],
        ]),
        PLAN,
      ).test,
    ]).toEqual([2]);
  });

  it('wants cards and times', () => {
    const { seconds: _, ...timeless } = rows([[0, 1, 1]]);
    expect(() => foldOf(timeless, PLAN)).toThrow(/LEARNING_ROWS_INVALID/);
  });
});
