import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { arcSine, metresBetween, sine } from './great-circle.js';

const place = (latitude: number, longitude: number) => ({ latitudeE6: latitude * 1e6, longitudeE6: longitude * 1e6 });
const anyPlace = fc.record({
  latitudeE6: fc.integer({ min: -90_000_000, max: 90_000_000 }),
  longitudeE6: fc.integer({ min: -180_000_000, max: 180_000_000 }),
});

describe('great circles', () => {
  it.each([
    ['Paris to New York', place(48.8566, 2.3522), place(40.7128, -74.006), 5_837_249],
    ['a degree of the equator', place(0, 10), place(0, 11), 111_195],
    ['across the date line', place(0, 179.5), place(0, -179.5), 111_195],
    ['pole to pole', place(90, 0), place(-90, 77), 20_015_115],
    ['nowhere', place(52.52, 13.405), place(52.52, 13.405), 0],
  ])('%s', (_name, a, b, metres) => {
    expect(Math.abs(metresBetween(a, b) - metres)).toBeLessThanOrEqual(1);
  });

  it('are as long one way as the other, and never longer than by way of a third place', () => {
    fc.assert(
      fc.property(anyPlace, anyPlace, anyPlace, (a, b, c) => {
        expect(metresBetween(a, b)).toBe(metresBetween(b, a));
        // Three roundings to whole metres, and 5 m where haversines near a half turn lose digits.
        expect(metresBetween(a, c)).toBeLessThanOrEqual(metresBetween(a, b) + metresBetween(b, c) + 7);
      }),
    );
  });

  it('stand on curves that agree with the engine’s own to fourteen digits', () => {
    fc.assert(
      fc.property(
        fc.double({ min: -Math.PI, max: Math.PI, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (x, y) => {
          expect(Math.abs(sine(x) - Math.sin(x))).toBeLessThan(1e-14);
          expect(Math.abs(arcSine(y) - Math.asin(y))).toBeLessThan(1e-14);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
