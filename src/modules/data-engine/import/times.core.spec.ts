import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DateTime } from 'luxon';
import { fromEpochMicros, toEpochMicros, type UtcMicros } from '../../../rails/time.js';
import { utc } from './local-times.core.js';
import { RowFault } from './row-fault.core.js';
import { timeReader } from './times.core.js';
import { zoneTimes } from './zone.js';

const ZONES = [
  'Europe/Paris',
  'Europe/Berlin',
  'America/New_York',
  // Half an hour of summer time; a day that was left out; midnight changes; no changes; a quarter of an hour.
  'Australia/Lord_Howe',
  'Pacific/Apia',
  'America/Sao_Paulo',
  'Asia/Kolkata',
  'Asia/Kathmandu',
  'Africa/Casablanca',
];
const PATTERN = 'yyyy-MM-dd HH:mm:ss';

describe('local times', () => {
  const seconds = fc.integer({ min: Date.UTC(1990, 0, 1) / 1000, max: Date.UTC(2030, 0, 1) / 1000 });

  it.each(ZONES)('of %s are the moments at which luxon shows them', (zone) => {
    const [earlier, later] = (['earlier', 'later'] as const).map((which) =>
      timeReader(PATTERN, zoneTimes(zone, which)),
    );
    if (earlier === undefined || later === undefined) throw new Error('two readers');
    fc.assert(
      fc.property(seconds, (second) => {
        const shown = DateTime.fromSeconds(second, { zone });
        const text = shown.toFormat(PATTERN);
        const moments = [earlier(text), later(text)].map((time) => toEpochMicros(time as UtcMicros) / 1e6);
        // Each is a moment at which the clock showed that; this one is one of them; the earlier is not the later one.
        for (const moment of moments) expect(DateTime.fromSeconds(moment, { zone }).toFormat(PATTERN)).toBe(text);
        expect(moments).toContain(second);
        expect(moments[0]).toBeLessThanOrEqual(moments[1] ?? 0);
      }),
      { numRuns: 300 },
    );
  });

  it('around every change of clocks are found, refused or chosen between', () => {
    const read = (which: 'earlier' | 'later' | 'reject') => timeReader(PATTERN, zoneTimes('Europe/Paris', which));
    // 25 March 2018: 02:00 became 03:00. 28 October 2018: 03:00 became 02:00.
    expect(read('earlier')('2018-03-25 01:59:59')).toBe('2018-03-25T00:59:59.000000Z');
    expect(read('earlier')('2018-03-25 02:00:00')).toMatchObject({ reason: 'TIME_NONEXISTENT' });
    expect(read('later')('2018-03-25 02:59:59')).toMatchObject({ reason: 'TIME_NONEXISTENT' });
    expect(read('earlier')('2018-03-25 03:00:00')).toBe('2018-03-25T01:00:00.000000Z');
    expect(read('earlier')('2018-10-28 02:30:00')).toBe('2018-10-28T00:30:00.000000Z');
    expect(read('later')('2018-10-28 02:30:00')).toBe('2018-10-28T01:30:00.000000Z');
    expect(read('reject')('2018-10-28 02:30:00')).toMatchObject({ reason: 'TIME_INVALID' });
    expect(read('reject')('2018-10-28 03:00:00')).toBe('2018-10-28T02:00:00.000000Z');
    // The day that Samoa left out when it changed sides of the date line, and a midnight that did not come.
    expect(timeReader(PATTERN, zoneTimes('Pacific/Apia', 'earlier'))('2011-12-30 12:00:00')).toMatchObject({
      reason: 'TIME_NONEXISTENT',
    });
    expect(timeReader(PATTERN, zoneTimes('America/Sao_Paulo', 'earlier'))('2018-11-04 00:30:00')).toMatchObject({
      reason: 'TIME_NONEXISTENT',
    });
  });

  it('are of a zone that somebody knows', () => {
    expect(() => zoneTimes('Europe/Nowhere', 'earlier')).toThrow('ENGINE_MAPPING_INVALID');
  });
});

describe('the reading of times', () => {
  const micros = fc.integer({ min: Date.UTC(1900, 0, 1) * 1000, max: Date.UTC(2200, 0, 1) * 1000 - 1 });

  it('reads ISO 8601 and seconds and milliseconds since 1970, to the microsecond', () => {
    const [iso, s, ms] = ['iso', 'epoch_s', 'epoch_ms'].map((format) => timeReader(format, utc));
    fc.assert(
      fc.property(micros, (moment) => {
        const time = fromEpochMicros(moment);
        expect(iso?.(time)).toBe(time);
        expect(iso?.(time.replace('T', ' ').replace('Z', ''))).toBe(time);
        const sign = moment < 0 ? '-' : '';
        const digits = String(Math.abs(moment)).padStart(7, '0');
        expect(s?.(`${sign}${digits.slice(0, -6)}.${digits.slice(-6)}`)).toBe(time);
        expect(ms?.(`${sign}${digits.slice(0, -3)}.${digits.slice(-3)}`)).toBe(time);
      }),
    );
  });

  it.each([
    ['iso', '2018-04-01T02:00:31+02:00', '2018-04-01T00:00:31.000000Z'],
    ['iso', '2018-04-01 00:00:31.5Z', '2018-04-01T00:00:31.500000Z'],
    ['iso', '2018-04-01', '2018-04-01T00:00:00.000000Z'],
    ['iso', '2018-04-01T00:00:31.123456000', '2018-04-01T00:00:31.123456Z'],
    ['dd.MM.yyyy HH:mm:ss', '01.04.2018 00:00:31', '2018-04-01T00:00:31.000000Z'],
    ['M/d/yyyy h:mm:ss a', '4/1/2018 12:00:31 AM', '2018-04-01T00:00:31.000000Z'],
    ['M/d/yyyy h:mm a', '4/1/2018 12:05 pm', '2018-04-01T12:05:00.000000Z'],
    ['dd-MMM-yyyy HH:mm', '01-APR-2018 13:05', '2018-04-01T13:05:00.000000Z'],
    ["yyyyMMdd'T'HHmmssSSS", '20180401T000031250', '2018-04-01T00:00:31.250000Z'],
    ['yyyy-MM-dd HH:mm:ss Z', '2018-04-01 02:00:31 +0200', '2018-04-01T00:00:31.000000Z'],
    ['epoch_s', '1522540831', '2018-04-01T00:00:31.000000Z'],
  ])('reads by %s the text %s', (format, text, time) => {
    expect(timeReader(format, utc)(text)).toBe(time);
  });

  it.each([
    ['iso', '2018-02-30T00:00:00Z'],
    ['iso', '2018-04-01T24:00:00Z'],
    ['iso', '2018-04-01T00:00:60Z'],
    ['iso', '2018-04-01T00:00:00.0000001Z'],
    ['iso', '1899-12-31T23:59:59Z'],
    ['iso', '01.04.2018'],
    ['iso', ''],
    ['dd.MM.yyyy', '1.4.2018'],
    ['dd.MM.yyyy', '01.04.2018 '],
    ['M/d/yyyy h:mm a', '4/1/2018 13:05 PM'],
    ['M/d/yyyy h:mm a', '4/1/2018 0:05 AM'],
    ['dd-MMM-yyyy', '01-XXX-2018'],
    ['epoch_s', '1522540831.0000001'],
    ['epoch_s', '9999999999999'],
    ['epoch_ms', 'now'],
  ])('refuses by %s the text "%s"', (format, text) => {
    const refused = timeReader(format, utc)(text);
    expect(refused).toBeInstanceOf(RowFault);
    expect(refused).toMatchObject({ reason: 'TIME_INVALID' });
  });

  it.each(['HH:mm', 'yyyy-MM', 'yyyy-MM-dd foo', 'yyyy-yyyy-MM-dd', 'yyyy-MM-dd hh:mm', 'yyyy-MM-dd HH h a'])(
    'refuses the pattern %s, by which no moment could be read',
    (format) => {
      expect(() => timeReader(format, utc)).toThrow('ENGINE_MAPPING_INVALID');
    },
  );
});
