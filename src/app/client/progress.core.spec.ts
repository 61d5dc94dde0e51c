import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { bytes, duration, progressLine, thousands } from './progress.core.js';

describe('what a person who waits is told', () => {
  it('says stage, share, amount, rate and the time that is left', () => {
    const look = { stage: 'Sealing', unit: 'rows' as const, doneAtStart: 0 };
    expect(progressLine({ ...look, done: 250_000, total: 1_000_000, elapsedMs: 5_000 }, true)).toBe(
      'Sealing  [######------------------]  25 %  250,000 rows of 1,000,000 rows  50,000 rows/s  15 s left',
    );
    expect(progressLine({ ...look, done: 250_000, total: 1_000_000, elapsedMs: 5_000 }, false)).not.toContain('[');
  });

  it('guesses no total, no rate of the first moment and no time that nobody can know', () => {
    const line = progressLine({ stage: 'Reading', done: 10, unit: 'rows', elapsedMs: 100, doneAtStart: 0 }, true);
    expect(line).toBe('Reading  10 rows');
    const stalled = { stage: 'Streaming', done: 7, total: 9, unit: 'rows' as const, elapsedMs: 9_000, doneAtStart: 7 };
    expect(progressLine(stalled, false)).toBe('Streaming  77 %  7 rows of 9 rows');
  });

  it('measures the rate from where the stage began, so that what stood there before does not count', () => {
    const look = { stage: 'Streaming', done: 900, total: 1_000, unit: 'rows' as const };
    expect(progressLine({ ...look, elapsedMs: 1_000, doneAtStart: 850 }, false)).toContain('50 rows/s  2 s left');
  });

  it('never draws outside its bar', () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1 }), (done, total) => {
        const line = progressLine({ stage: 'x', done, total, unit: 'rows', elapsedMs: 0, doneAtStart: 0 }, true);
        expect(/\[([#-]*)\]/.exec(line)?.[1]).toHaveLength(24);
      }),
    );
  });

  it('groups digits, bytes and times for people', () => {
    expect([0, 999, 1_000, 872_795, 12_345_678].map(thousands)).toEqual(['0', '999', '1,000', '872,795', '12,345,678']);
    expect([1_023, 1_536, 5_242_880, 3 * 1_073_741_824].map(bytes)).toEqual([
      '1023 B',
      '1.5 KiB',
      '5.0 MiB',
      '3.00 GiB',
    ]);
    expect([0.2, 59, 61, 7_384].map(duration)).toEqual(['1 s', '59 s', '1 min 1 s', '2 h 3 min']);
  });
});
