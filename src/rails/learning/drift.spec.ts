import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { spreadOf, stabilityIndex } from './drift.js';
import { plantedRows } from './worlds.kit.js';

const [train, unseen] = [plantedRows(4_000, 21), plantedRows(4_000, 22)];

describe('drift', () => {
  const values = fc.array(fc.oneof(fc.integer({ min: 0, max: 9 }), fc.double({ noDefaultInfinity: true })), {
    minLength: 1,
    maxLength: 50,
  });

  it('is nothing between equal samples, and never below nothing', () => {
    fc.assert(
      fc.property(values, values, (then, now) => {
        const spread = spreadOf(Float64Array.from(then));
        expect(stabilityIndex(spread, Float64Array.from(then.toReversed()))).toBe(0);
        expect(stabilityIndex(spread, Float64Array.from(now))).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  it('is small between two samples of one population, great where it moved or where values went missing', () => {
    const [then, now] = [train.columns[0] ?? new Float64Array(), unseen.columns[0] ?? new Float64Array()];
    const spread = spreadOf(then);
    expect(spread.shares.length).toBe(11);
    expect(spread.shares.at(-1)).toBe(then.filter((x) => Number.isNaN(x)).length / then.length);
    expect(stabilityIndex(spread, now)).toBeLessThan(0.02);
    expect(
      stabilityIndex(
        spread,
        now.map((x) => x + 300),
      ),
    ).toBeGreaterThan(0.25);
    expect(
      stabilityIndex(
        spread,
        now.map((x, row) => (row % 3 === 0 ? Number.NaN : x)),
      ),
    ).toBeGreaterThan(0.25);
  });
});
