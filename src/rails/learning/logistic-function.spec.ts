import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { logisticOf, quickLogistic, wholeOf } from './logistic-function.js';

describe('the logistic function for learning', () => {
  it('is the one that is served, to the last digits', () => {
    fc.assert(
      fc.property(fc.double({ min: -45, max: 45, noNaN: true }), (x) => {
        expect(Math.abs(quickLogistic(x) / logisticOf(x) - 1)).toBeLessThan(4e-15);
      }),
      { numRuns: 2_000 },
    );
    expect([quickLogistic(0), quickLogistic(1e9), quickLogistic(-1e9)]).toEqual([0.5, 1, expect.closeTo(0, 15)]);
  });

  it('rounds to whole numbers without Math.round', () => {
    fc.assert(
      fc.property(fc.double({ min: -1e12, max: 1e12, noNaN: true }), (x) => {
        expect(Math.abs(wholeOf(x) - x)).toBeLessThanOrEqual(0.5);
        expect(Number.isInteger(wholeOf(x))).toBe(true);
      }),
    );
  });
});
