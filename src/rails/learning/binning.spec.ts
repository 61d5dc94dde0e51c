import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { binned, cutsOf } from './binning.js';
import { rowsOf, type TrainingMatrix } from './matrix.js';

const values = fc.array(fc.oneof(fc.integer({ min: -9, max: 9 }), fc.double({ noDefaultInfinity: true })), {
  minLength: 1,
  maxLength: 60,
});
const of = (column: readonly number[], weights?: readonly number[]): TrainingMatrix => ({
  names: ['x'],
  columns: [Float64Array.from(column)],
  labels: new Uint8Array(column.length),
  ...(weights === undefined ? {} : { weights: Float64Array.from(weights) }),
});
const most = fc.integer({ min: 2, max: 20 });

describe('bins', () => {
  it('put a row on the side of each cut on which its value lies, and what is missing into a bin of its own', () => {
    fc.assert(
      fc.property(values, most, (column, limit) => {
        const cuts = cutsOf(of(column), limit);
        const own = cuts.cuts[0] ?? new Float64Array();
        const { slots } = binned(of(column), cuts);
        expect(own.length).toBeLessThan(limit);
        column.forEach((x, row) => {
          if (Number.isNaN(x)) expect(slots[row]).toBe(cuts.missing[0]);
          else own.forEach((cut, at) => expect((slots[row] ?? 0) <= 2 * at).toBe(x < cut));
        });
      }),
    );
  });

  it('are one for each value where there are few, and about equally heavy where there are many', () => {
    expect([...(cutsOf(of([3, 1, 1, 2, Number.NaN])).cuts[0] ?? [])]).toEqual([1.5, 2.5]);
    const many = Array.from({ length: 10_000 }, (_, at) => (at * 7_919) % 10_000);
    const cuts = cutsOf(of(many), 100).cuts[0] ?? new Float64Array();
    const sizes = [...cuts, 10_000].map((cut, at) => cut - (cuts[at - 1] ?? 0));
    expect(cuts.length).toBe(99);
    expect([Math.min(...sizes), Math.max(...sizes)]).toEqual([expect.closeTo(100, -1), expect.closeTo(100, -1)]);
  });

  it('are dense where the few frauds lie, whatever most rows look like', () => {
    const column = Array.from({ length: 20_000 }, (_, at) => (at * 7_919) % 20_000);
    // The hundred highest values are the frauds: half of one per cent.
    const labels = Uint8Array.from(column, (x) => (x >= 19_900 ? 1 : 0));
    const found = cutsOf({ ...of(column), labels }, 100).cuts[0] ?? new Float64Array();
    expect([...found]).toContain(19_899.5);
    expect(found.filter((cut) => cut >= 19_899).length).toBeGreaterThan(40);
    expect((cutsOf(of(column), 100).cuts[0] ?? new Float64Array()).filter((cut) => cut >= 19_899).length).toBeLessThan(
      2,
    );
  });

  it('do not depend on the order of the rows, and weigh a row of weight 3 as three rows', () => {
    const counts = fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 60, maxLength: 60 });
    fc.assert(
      fc.property(values, most, counts, (column, limit, weights) => {
        const labels = Uint8Array.from(column, (_, row) => (row % 3 === 0 ? 1 : 0));
        const whole = { ...of(column), labels };
        const backwards = rowsOf(whole, Int32Array.from(column.keys()).reverse());
        expect(cutsOf(backwards, limit)).toEqual(cutsOf(whole, limit));
        const repeated = column.flatMap((_, row) => Array.from({ length: weights[row] ?? 0 }, () => row));
        const weighted = { ...of(column, weights.slice(0, column.length)), labels };
        expect(cutsOf(weighted, limit)).toEqual(cutsOf(rowsOf(whole, repeated), limit));
      }),
    );
  });
});
