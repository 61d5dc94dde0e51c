import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { cumulative, exactExp, Normal, pick, poisson } from './exact-math.core.js';
import { Names } from './names.core.js';
import { mix32 } from '../../../rails/mix32.js';
import { ln } from '../../../rails/model/ln.js';
import { Random, STREAM } from './random.core.js';

const word = fc.integer({ min: 0, max: 0xffff_ffff });
const seed = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String);

describe('random streams', () => {
  it('give the words that they always gave', () => {
    const random = new Random('12345678901234567890').at(STREAM.row, 7, 9);
    expect([random.next(), random.next(), random.next(), random.word(STREAM.trip, 1, 2)]).toEqual([
      1354019752, -927361637, 540560925, 4017647012,
    ]);
  });

  it('begin anew at the same place, and elsewhere at another', () => {
    fc.assert(
      fc.property(seed, word, word, (text, a, b) => {
        const random = new Random(text);
        const here = random.at(STREAM.row, a, b).next();
        const others = [
          random.at(STREAM.day, a, b).next(),
          random.at(STREAM.row, a + 1, b).next(),
          random.at(STREAM.row, a, b + 1).next(),
          random.at(STREAM.row, b, a + 2).next(),
        ];
        expect(random.at(STREAM.row, a, b).next()).toBe(here);
        expect(others).not.toContain(here);
      }),
    );
  });

  it('use both halves of the seed', () => {
    const first = (text: string): number => new Random(text).at(STREAM.row, 1, 1).next();
    expect(new Set(['1', '2', '4294967296', '4294967297', '18446744073709551615'].map(first)).size).toBe(5);
  });

  it('are even: each of 16 values about as often, also over the first words of neighbouring streams', () => {
    const random = new Random('1');
    const count = 32_000;
    const draws: readonly ((index: number) => number)[] = [
      () => random.unit(),
      (index) => new Random('1').at(STREAM.row, index, 0).unit(),
      (index) => new Random('1').share(STREAM.trip, 0, index),
    ];
    random.at(STREAM.row, 0, 0);
    for (const draw of draws) {
      const seen = new Array<number>(16).fill(0);
      for (let index = 0; index < count; index += 1) {
        const value = Math.floor(draw(index) * 16);
        seen[value] = (seen[value] ?? 0) + 1;
      }
      const expected = count / 16;
      const chiSquare = seen.reduce((sum, each) => sum + (each - expected) ** 2 / expected, 0);
      // 15 degrees of freedom: above 45 once in 10,000 seeds, and the seed is fixed.
      expect(chiSquare).toBeLessThan(45);
    }
  });

  it('stay within their limits', () => {
    fc.assert(
      fc.property(word, fc.integer({ min: 1, max: 2 ** 31 }), fc.integer({ min: -50, max: 50 }), (a, limit, low) => {
        const random = new Random('3').at(STREAM.row, a, 0);
        const value = random.below(limit);
        expect(value).toBeGreaterThanOrEqual(0);
        expect(value).toBeLessThan(limit);
        expect(Number.isInteger(value)).toBe(true);
        const between = random.between(low, low + 3);
        expect([low, low + 1, low + 2, low + 3]).toContain(between);
      }),
    );
  });
});

describe('names', () => {
  const names = new Names(new Random('5'));

  it('are bijections: no two numbers share one', () => {
    const count = 60_000;
    const cards = new Set<string>();
    const payments = new Set<string>();
    for (let number = 0; number < count; number += 1) {
      cards.add(names.of('card', number * 65_537));
      payments.add(names.transaction(number % 7, number));
    }
    expect([cards.size, payments.size]).toEqual([count, count]);
    fc.assert(fc.property(word, word, (a, b) => a === b || mix32(a) !== mix32(b)));
  });

  it('tell nothing of the number: neighbours, and the marked ones beyond the population, look alike', () => {
    const leading = (from: number): number => {
      let high = 0;
      for (let number = from; number < from + 4_000; number += 1) {
        if (Number.parseInt(names.of('device', number).slice(4, 5), 16) >= 8) high += 1;
      }
      return high;
    };
    // 2,000 of 4,000 in the mean, standard deviation 32.
    for (const from of [0, 0x8000_0000, 0xb000_0000]) expect(Math.abs(leading(from) - 2_000)).toBeLessThan(160);
  });

  it('are others under another seed', () => {
    const other = new Names(new Random('6'));
    expect(other.of('card', 1)).not.toBe(names.of('card', 1));
    expect(other.transaction(1, 1)).not.toBe(names.transaction(1, 1));
    expect(names.of('card', 1).slice(4)).not.toBe(names.of('account', 1).slice(4));
  });
});

describe('exact mathematics', () => {
  it('agrees with the engine to the last digits that matter', () => {
    fc.assert(
      fc.property(fc.double({ min: -30, max: 30, noNaN: true }), (x) => {
        expect(exactExp(x) / Math.exp(x)).toBeCloseTo(1, 12);
        expect(ln(exactExp(x))).toBeCloseTo(x, 10);
      }),
    );
    expect(exactExp(0)).toBe(1);
    expect(ln(1)).toBe(0);
  });

  it('has the quantiles of the normal distribution', () => {
    const normal = new Normal();
    expect(normal.of(0.5)).toBeCloseTo(0, 3);
    expect(normal.of(0.8413447)).toBeCloseTo(1, 2);
    expect(normal.of(0.0227501)).toBeCloseTo(-2, 2);
    fc.assert(
      fc.property(fc.double({ min: 0, max: 0.9999, noNaN: true }), (share) => {
        expect(normal.of(share + 0.0001 < 1 ? share + 0.0001 : share)).toBeGreaterThanOrEqual(normal.of(share));
      }),
    );
  });

  it.each([0.2, 4, 75])('counts with the mean and variance %d', (mean) => {
    const random = new Random('9').at(STREAM.row, 0, 0);
    const counts = Array.from({ length: 8_000 }, () => poisson(random, mean));
    const average = counts.reduce((sum, each) => sum + each, 0) / counts.length;
    const variance = counts.reduce((sum, each) => sum + (each - average) ** 2, 0) / counts.length;
    // The mean's standard error is sqrt(mean / 8000).
    expect(Math.abs(average - mean)).toBeLessThan(5 * Math.sqrt(mean / counts.length));
    expect(variance / mean).toBeGreaterThan(0.9);
    expect(variance / mean).toBeLessThan(1.1);
  });

  it('picks the slice that holds a share', () => {
    const weights = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(weights, fc.double({ min: 0, max: 0.999999, noNaN: true }), (given, share) => {
        const sums = cumulative(given);
        expect(pick(sums, share)).toBe(Array.from(sums).findIndex((sum) => share < sum));
      }),
    );
  });
});
