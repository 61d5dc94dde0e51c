import { describe, expect, it } from '@jest/globals';
import type { Signal } from './ladder.schema.js';
import { readingsOf, type Taken } from './readings.core.js';

const sample = (name: string, value: number, labels: Record<string, string> = {}, process = 'df') => ({
  name,
  value,
  labels,
  process,
});
const taken = (atMs: number, samples: Taken['samples'], faults: readonly object[] = []): Taken => ({
  samples,
  takenAtMs: atMs,
  faults,
});
const signal = (statistic: Signal['statistic'], more: Partial<Signal> = {}): Signal => ({
  name: 's',
  metric: 'm',
  statistic,
  required: false,
  ...more,
});
const read = (one: Signal, now: Taken, before: Taken | null = null, atMs = now.takenAtMs) =>
  readingsOf([one], now, before, atMs, 5_000)[0];

describe('readings', () => {
  it('take the highest or the sum over the series that match', () => {
    const now = taken(0, [sample('m', 3, { p: '0' }), sample('m', 5, { p: '1' }), sample('other', 99)]);
    expect(read(signal('max'), now)).toEqual({ signal: 's', value: 5, quality: 'OK' });
    expect(read(signal('sum'), now)).toMatchObject({ value: 8 });
    expect(read(signal('max', { labels: { p: '0' } }), now)).toMatchObject({ value: 3 });
  });

  it('take rates of counters per second, each process by itself; a counter that fell has begun anew', () => {
    const before = taken(1_000, [sample('m', 10, {}, 'a'), sample('m', 100, {}, 'b')]);
    const now = taken(3_000, [sample('m', 14, {}, 'a'), sample('m', 6, {}, 'b')]);
    expect(read(signal('rate'), now, before)).toMatchObject({ value: 5 });
    // With nothing to compare with nothing has happened yet.
    expect(read(signal('rate'), now)).toMatchObject({ value: 0, quality: 'OK' });
  });

  it('take shares of another rate, and 0 while nothing happens at all', () => {
    const share = signal('share', { of: { metric: 'all' } });
    const before = taken(0, [sample('m', 0), sample('all', 0)]);
    expect(read(share, taken(1_000, [sample('m', 1), sample('all', 4)]), before)).toMatchObject({ value: 0.25 });
    expect(read(share, taken(1_000, [sample('m', 0), sample('all', 0)]), before)).toMatchObject({ value: 0 });
    expect(read(share, taken(1_000, [sample('m', 1)]), before)).toMatchObject({ quality: 'MISSING' });
  });

  it('say what is missing, what could not be asked, and what is too old', () => {
    expect(read(signal('max'), taken(0, []))).toEqual({ signal: 's', value: null, quality: 'MISSING' });
    expect(read(signal('max'), taken(0, [], [{}]))).toMatchObject({ quality: 'ERROR' });
    expect(read(signal('max'), taken(0, [sample('m', 1)]), null, 5_001)).toMatchObject({
      value: null,
      quality: 'STALE',
    });
    expect(read(signal('max'), taken(0, [sample('m', 1)]), null, 5_000)).toMatchObject({ value: 1, quality: 'OK' });
    expect(read(signal('max'), taken(0, [sample('m', Number.NaN)]))).toMatchObject({ quality: 'MISSING' });
  });
});
