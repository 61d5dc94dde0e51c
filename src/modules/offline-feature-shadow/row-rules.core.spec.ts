import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { EpochMicros } from '../../rails/time.js';
import { bucketOf, labelOf, splitOf, weightOf } from './row-rules.core.js';

const DAY = 86_400e6;
const micros = (value: number): EpochMicros => value as EpochMicros;
const time = fc.integer({ min: 0, max: 4_000 * DAY });
const eventId = fc.string({ minLength: 1, maxLength: 40 });

describe('what a row says of its payment', () => {
  it('unlabelled is censored, and negative only by a rule, from the very microsecond at which it is mature', () => {
    fc.assert(
      fc.property(time, fc.integer({ min: 0, max: 400 }), (ts, days) => {
        const known = { state: 'UNKNOWN' } as const;
        const asOf = micros(ts + days * DAY);
        expect(labelOf(known, micros(ts), { asOf, maturityDays: undefined })).toEqual({
          state: 'UNKNOWN',
          value: null,
          isFraud: null,
        });
        expect(labelOf(known, micros(ts), { asOf, maturityDays: days })).toEqual({
          state: 'MATURED',
          value: null,
          isFraud: false,
        });
        expect(labelOf(known, micros(ts + 1), { asOf, maturityDays: days })).toEqual({
          state: 'IMMATURE',
          value: null,
          isFraud: null,
        });
      }),
    );
  });

  it('a label stands whatever its age, and a conflict is never an answer', () => {
    fc.assert(
      fc.property(
        time,
        time,
        fc.option(fc.integer({ min: 0, max: 400 }), { nil: undefined }),
        (ts, asOf, maturityDays) => {
          const rule = { asOf: micros(asOf), maturityDays };
          const of = (label_value: string) => labelOf({ state: 'LABEL', label_value }, micros(ts), rule);
          expect(of('FRAUD_CONFIRMED')).toEqual({ state: 'LABEL', value: 'FRAUD_CONFIRMED', isFraud: true });
          expect(of('LEGIT_CONFIRMED').isFraud).toBe(false);
          expect(of('FRAUD_SUSPECTED').isFraud).toBeNull();
          expect(labelOf({ state: 'CONFLICT' }, micros(ts), rule)).toEqual({
            state: 'CONFLICT',
            value: null,
            isFraud: null,
          });
        },
      ),
    );
  });
});

describe('a sample', () => {
  it('keeps every fraud once, and others with the weight of those that they stand for', () => {
    fc.assert(
      fc.property(eventId, fc.integer({ min: 1, max: 1_000 }), fc.string({ minLength: 1 }), (id, n, seed) => {
        const sampling = { others_one_in: n, seed };
        expect(weightOf(id, true, sampling)).toBe(1);
        expect(weightOf(id, false, null)).toBe(1);
        expect([0, n]).toContain(weightOf(id, false, sampling));
        expect(weightOf(id, null, sampling)).toBe(weightOf(id, false, sampling));
      }),
    );
  });

  it('is a share of the size that was asked for, and another seed is another share', () => {
    const ids = Array.from({ length: 20_000 }, (_, n) => `event-${n}`);
    const kept = (seed: string) => ids.filter((id) => bucketOf(id, seed, 10) === 0);
    const [one, other] = [kept('a'), new Set(kept('b'))];
    // Five standard deviations around 2,000.
    expect(Math.abs(one.length - 2_000)).toBeLessThan(5 * Math.sqrt(20_000 * 0.1 * 0.9));
    expect(Math.abs(one.filter((id) => other.has(id)).length - 200)).toBeLessThan(5 * Math.sqrt(200));
  });
});

describe('splits', () => {
  it('begin with their first moment and end before their last', () => {
    fc.assert(
      fc.property(fc.uniqueArray(time, { minLength: 4, maxLength: 4 }), time, (bounds, ts) => {
        const [a = 0, b = 0, c = 0, d = 0] = bounds.sort((x, y) => x - y);
        const splits = [
          { name: 'test', from: micros(c), to: micros(d) },
          { name: 'train', from: micros(a), to: micros(b) },
        ];
        const expected = ts >= a && ts < b ? 'train' : ts >= c && ts < d ? 'test' : null;
        expect(splitOf(micros(ts), splits)).toBe(expected);
        expect(splitOf(micros(a), splits)).toBe('train');
        expect(splitOf(micros(d), splits)).toBeNull();
      }),
    );
  });
});
