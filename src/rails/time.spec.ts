import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  asUtcMicros,
  compareUtc,
  fromEpochMicros,
  fromEpochMs,
  isUtcMicros,
  parseUtc,
  toEpochMicros,
  type UtcMicros,
} from './time.js';

const MICROS_MIN = -2_208_988_800_000_000;
const MICROS_MAX = 7_258_118_399_999_999;
const micros = fc.oneof(
  fc.integer({ min: MICROS_MIN, max: MICROS_MAX }),
  fc.integer({ min: -2_000_000, max: 2_000_000 }),
  fc.constantFrom(MICROS_MIN, MICROS_MAX, 0, -1),
);
const offsetMinutes = fc.integer({ min: -(23 * 60 + 59), max: 23 * 60 + 59 });

describe('the normal form', () => {
  it.each([
    ['2018-04-01T00:00:31Z', '2018-04-01T00:00:31.000000Z'],
    ['2018-04-01T00:00:31.5Z', '2018-04-01T00:00:31.500000Z'],
    ['2018-04-01t00:00:31.000001z', '2018-04-01T00:00:31.000001Z'],
    ['2018-04-01T00:00:31.123456000Z', '2018-04-01T00:00:31.123456Z'],
    ['2018-04-01T02:00:31+02:00', '2018-04-01T00:00:31.000000Z'],
    ['2018-03-31T19:00:31-05:00', '2018-04-01T00:00:31.000000Z'],
    ['2018-04-01T05:45:31+05:45', '2018-04-01T00:00:31.000000Z'],
    ['2018-04-01T00:00:31-00:00', '2018-04-01T00:00:31.000000Z'],
    ['2020-02-29T23:59:59.999999-00:01', '2020-03-01T00:00:59.999999Z'],
    ['1900-01-01T00:00:00Z', '1900-01-01T00:00:00.000000Z'],
    ['2199-12-31T23:59:59.999999Z', '2199-12-31T23:59:59.999999Z'],
    ['2200-01-01T00:30:00+01:00', '2199-12-31T23:30:00.000000Z'],
    ['1969-12-31T23:59:59.999999Z', '1969-12-31T23:59:59.999999Z'],
  ])('of %s is %s', (text, normal) => {
    expect(parseUtc(text)).toBe(normal);
  });

  it.each([
    ['not a time', 'yesterday'],
    ['no offset', '2018-04-01T00:00:31'],
    ['a date alone', '2018-04-01'],
    ['a blank for the T', '2018-04-01 00:00:31Z'],
    ['an empty fraction', '2018-04-01T00:00:31.Z'],
    ['a comma', '2018-04-01T00:00:31,5Z'],
    ['a blank at the end', '2018-04-01T00:00:31Z '],
    ['a line after it', '2018-04-01T00:00:31Z\n'],
    ['an offset without a colon', '2018-04-01T00:00:31+0200'],
    ['digits of another script', '２０18-04-01T00:00:31Z'],
    ['30 February', '2018-02-30T00:00:00Z'],
    ['29 February of a common year', '2018-02-29T00:00:00Z'],
    ['29 February of 1900', '1900-02-29T00:00:00Z'],
    ['31 April', '2018-04-31T00:00:00Z'],
    ['month 13', '2018-13-01T00:00:00Z'],
    ['month 0', '2018-00-01T00:00:00Z'],
    ['day 0', '2018-01-00T00:00:00Z'],
    ['hour 24', '2018-04-01T24:00:00Z'],
    ['minute 60', '2018-04-01T00:60:00Z'],
    ['a leap second', '2016-12-31T23:59:60Z'],
    ['second 61', '2016-12-31T23:59:61Z'],
    ['an offset of 24 hours', '2018-04-01T00:00:00+24:00'],
    ['an offset of 60 minutes', '2018-04-01T00:00:00+00:60'],
    ['finer than a microsecond', '2018-04-01T00:00:00.0000001Z'],
    ['finer by a digit far out', '2018-04-01T00:00:00.0000000000001Z'],
    ['year 1', '0001-01-01T00:00:00Z'],
    ['year 9999', '9999-12-31T23:59:59Z'],
    ['1899 by its offset', '1900-01-01T00:30:00+01:00'],
    ['2200', '2200-01-01T00:00:00Z'],
  ])('refuses %s', (_name, text) => {
    expect(() => parseUtc(text)).toThrow('VALUE_INVALID');
  });

  it.each([
    '2018-04-01T00:00:31Z',
    '2018-04-01T00:00:31.000Z',
    '2018-02-30T00:00:00.000000Z',
    '2018-04-01T00:00:31.000000z',
  ])('is not %s', (text) => {
    expect(isUtcMicros(text)).toBe(false);
    expect(() => asUtcMicros(text)).toThrow('VALUE_INVALID');
  });

  it('is its own normal form', () => {
    fc.assert(
      fc.property(micros, (n) => {
        const time = fromEpochMicros(n);
        expect(isUtcMicros(time)).toBe(true);
        expect(parseUtc(time)).toBe(time);
      }),
    );
  });

  it('is the same for one moment in every offset', () => {
    const inner = fc.integer({ min: MICROS_MIN + 86_400_000_000, max: MICROS_MAX - 86_400_000_000 });
    fc.assert(
      fc.property(inner, offsetMinutes, (n, minutes) => {
        const local = fromEpochMicros(n + minutes * 60_000_000).slice(0, -1);
        const absolute = Math.abs(minutes);
        const hh = String(Math.floor(absolute / 60)).padStart(2, '0');
        const mm = String(absolute % 60).padStart(2, '0');
        expect(parseUtc(`${local}${minutes < 0 ? '-' : '+'}${hh}:${mm}`)).toBe(fromEpochMicros(n));
      }),
    );
  });
});

describe('microseconds since 1970', () => {
  it('come back exactly', () => {
    fc.assert(fc.property(micros, (n) => expect(toEpochMicros(fromEpochMicros(n))).toBe(n)));
  });

  it('agree with arithmetic on big integers', () => {
    fc.assert(
      fc.property(micros, (n) => {
        const time = fromEpochMicros(n);
        const seconds = BigInt(Date.parse(`${time.slice(0, 19)}Z`)) / 1000n;
        expect(seconds * 1_000_000n + BigInt(time.slice(20, 26))).toBe(BigInt(n));
      }),
    );
  });

  it.each([MICROS_MIN - 1, MICROS_MAX + 1, 0.5, Number.NaN, Number.POSITIVE_INFINITY])('refuse %s', (n) => {
    expect(() => fromEpochMicros(n)).toThrow('VALUE_INVALID');
  });

  it('of a clock are cut, never rounded up', () => {
    expect(fromEpochMs(1_522_540_831_000.123_9)).toBe('2018-04-01T00:00:31.000123Z');
    expect(fromEpochMs(-0.001)).toBe('1969-12-31T23:59:59.999999Z');
  });
});

describe('the order of time', () => {
  it('is the order of the texts and of the numbers', () => {
    fc.assert(
      fc.property(micros, micros, (a, b) => {
        const [x, y] = [fromEpochMicros(a), fromEpochMicros(b)];
        expect(compareUtc(x, y)).toBe(Math.sign(a - b));
        expect(compareUtc(y, x)).toBe(Math.sign(b - a));
      }),
    );
  });

  it('sorts', () => {
    fc.assert(
      fc.property(fc.array(micros), (numbers) => {
        const times: UtcMicros[] = numbers.map(fromEpochMicros);
        expect(times.toSorted(compareUtc)).toEqual(numbers.toSorted((a, b) => a - b).map(fromEpochMicros));
      }),
    );
  });
});
