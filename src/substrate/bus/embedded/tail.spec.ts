import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { asOffset, asTopicName } from '../../../rails/eb-ref.js';
import type { BusRecord } from '../bus.port.js';
import { LogTail } from './tail.js';

const PLACE = { topic: asTopicName('fp.bus.test.v1'), partition: 0 };
const OTHER = { ...PLACE, partition: 1 };

function recordAt(offset: number, bytes = 10): BusRecord {
  const value = Buffer.alloc(bytes, offset % 251);
  return { offset: asOffset(offset), appendedAtMs: offset, key: null, headers: {}, value };
}

function run(from: number, count: number, bytes?: number): readonly BusRecord[] {
  return Array.from({ length: count }, (_, index) => recordAt(from + index, bytes));
}

const offsetsOf = (records: readonly BusRecord[] | undefined): readonly number[] | undefined =>
  records?.map(({ offset }) => offset);

describe('the tail of the log that a process keeps', () => {
  it('hands out what was added, from any place within it, up to the wanted number', () => {
    const tail = new LogTail();
    tail.add(PLACE, run(5, 3));
    tail.add(PLACE, run(8, 2));
    expect(offsetsOf(tail.batch(PLACE, asOffset(5), 100, 1e6)?.records)).toEqual([5, 6, 7, 8, 9]);
    expect(offsetsOf(tail.batch(PLACE, asOffset(7), 2, 1e6)?.records)).toEqual([7, 8]);
    expect(tail.batch(PLACE, asOffset(7), 2, 1e6)).toMatchObject({ ...PLACE, nextOffset: 9, highWater: 10 });
    // Past so many bytes by one record, so that a record that is larger than the limit is handed out, too.
    expect(offsetsOf(tail.batch(PLACE, asOffset(5), 100, 15)?.records)).toEqual([5, 6]);
    expect(offsetsOf(tail.batch(PLACE, asOffset(5), 100, 1)?.records)).toEqual([5]);
  });

  it('knows nothing before, behind and elsewhere', () => {
    const tail = new LogTail();
    expect(tail.batch(PLACE, asOffset(0), 1, 1)).toBeUndefined();
    tail.add(PLACE, run(5, 3));
    for (const offset of [0, 4, 8, 100]) expect(tail.batch(PLACE, asOffset(offset), 100, 1e6)).toBeUndefined();
    expect(tail.batch(OTHER, asOffset(5), 100, 1e6)).toBeUndefined();
  });

  it('begins anew behind a gap, which somebody else filled, and takes no older records in', () => {
    const tail = new LogTail();
    tail.add(PLACE, run(0, 3));
    tail.add(PLACE, run(5, 2));
    expect(tail.batch(PLACE, asOffset(2), 100, 1e6)).toBeUndefined();
    tail.add(PLACE, run(3, 2));
    expect(offsetsOf(tail.batch(PLACE, asOffset(5), 100, 1e6)?.records)).toEqual([5, 6]);
    expect(tail.batch(PLACE, asOffset(3), 100, 1e6)).toBeUndefined();
  });

  it('forgets a partition that was trimmed', () => {
    const tail = new LogTail();
    tail.add(PLACE, run(0, 3));
    tail.add(OTHER, run(0, 3));
    tail.forget(PLACE);
    expect(tail.batch(PLACE, asOffset(1), 100, 1e6)).toBeUndefined();
    expect(offsetsOf(tail.batch(OTHER, asOffset(1), 100, 1e6)?.records)).toEqual([1, 2]);
  });

  it('keeps no more than it may, the youngest', () => {
    const tail = new LogTail(100_000);
    for (let from = 0; from < 5_000; from += 10) tail.add(PLACE, run(from, 10, 700));
    expect(tail.batch(PLACE, asOffset(4_000), 1, 1e6)).toBeUndefined();
    expect(offsetsOf(tail.batch(PLACE, asOffset(4_999), 1, 1e6)?.records)).toEqual([4_999]);
    let kept = 0;
    for (let offset = 0; offset < 5_000; offset += 1)
      if (tail.batch(PLACE, asOffset(offset), 1, 1e6) !== undefined) kept += 1;
    expect(kept).toBeGreaterThanOrEqual(45);
    expect(kept).toBeLessThanOrEqual(100);
  });

  it('never hands out anything but the log, in whatever order it learns of it', () => {
    const step = fc.record({
      from: fc.integer({ min: 0, max: 60 }),
      count: fc.integer({ min: 1, max: 8 }),
      partition: fc.integer({ min: 0, max: 1 }),
      forget: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.integer({ min: 300, max: 10_000 }), (steps, bytesMax) => {
        const tail = new LogTail(bytesMax);
        for (const { from, count, partition, forget } of steps) {
          const place = { ...PLACE, partition };
          if (forget && from % 7 === 0) tail.forget(place);
          else tail.add(place, run(from, count));
          for (let offset = 0; offset < 70; offset += 1) {
            const batch = tail.batch(place, asOffset(offset), 5, 1e6);
            if (batch === undefined) continue;
            expect(batch.records).toEqual(run(offset, batch.records.length));
            expect(batch.records.length).toBeGreaterThan(0);
            expect(batch.nextOffset).toBe(offset + batch.records.length);
            expect(batch.highWater).toBeGreaterThanOrEqual(batch.nextOffset);
          }
        }
      }),
      { numRuns: 300 },
    );
  });
});
