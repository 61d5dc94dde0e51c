import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { SeededRandom } from './random.js';

const seeds = fc.integer({ min: 0, max: 2 ** 32 - 1 });

describe('chance from a seed', () => {
  it('is the same for the same seed and stream, another for another', () => {
    fc.assert(
      fc.property(seeds, seeds, fc.integer({ min: 0, max: 1_000 }), (seed, other, stream) => {
        const words = (of: SeededRandom): readonly number[] => Array.from({ length: 4 }, () => of.next());
        const own = words(new SeededRandom(seed, stream));
        expect(words(new SeededRandom(seed, stream))).toEqual(own);
        expect(words(new SeededRandom(seed, stream + 1))).not.toEqual(own);
        if (other !== seed) expect(words(new SeededRandom(other, stream))).not.toEqual(own);
      }),
    );
    expect(new SeededRandom(1).next()).toBe(2_539_083_510);
  });

  it('falls evenly, and puts places into an order that keeps each of them', () => {
    const random = new SeededRandom(7);
    const counts = new Array<number>(10).fill(0);
    for (let draw = 0; draw < 100_000; draw += 1) {
      const at = random.below(10);
      counts[at] = (counts[at] ?? 0) + 1;
    }
    expect(Math.min(...counts)).toBeGreaterThan(9_500);
    expect(Math.max(...counts)).toBeLessThan(10_500);
    fc.assert(
      fc.property(seeds, fc.integer({ min: 0, max: 60 }), (seed, size) => {
        const order = new SeededRandom(seed).order(size);
        expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: size }, (_, at) => at));
      }),
    );
    // Each of three places is first about as often as the others.
    const first = [0, 0, 0];
    for (let seed = 0; seed < 6_000; seed += 1) {
      const at = new SeededRandom(seed).order(3)[0] ?? 0;
      first[at] = (first[at] ?? 0) + 1;
    }
    expect(Math.min(...first)).toBeGreaterThan(1_850);
  });
});
