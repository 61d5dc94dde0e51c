import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { asOffset, asTopicName } from '../../rails/eb-ref.js';
import type { Bus, BusReader, BusRecord, PartitionMarks, Position, RecordBatch } from './bus.port.js';
import { type LogCursor, LogTap } from './log-tap.js';

const topic = asTopicName('fp.bus.traffic.v1');
const marks = (lowWater: number, highWater: number): PartitionMarks => ({
  topic,
  partition: 0,
  lowWater: asOffset(lowWater),
  highWater: asOffset(highWater),
});

/** A log of one partition with gaps, read in batches of a given size, that counts who reads it. */
class Log {
  readonly readers: number[] = [];
  closed = 0;
  polls = 0;
  /** What a poll fails with, once, from this one on. */
  failing: number | undefined;

  constructor(
    private readonly offsets: readonly number[],
    private readonly size: number,
  ) {}

  get bus(): Bus {
    const openReader = ([position]: readonly Position[]): Promise<BusReader> => {
      let at: number = position?.offset ?? 0;
      this.readers.push(at);
      const poll = (): Promise<readonly RecordBatch[]> => {
        this.polls += 1;
        if (this.polls === this.failing) return Promise.reject(new Error('the bus is away'));
        const found = this.offsets.filter((offset) => offset >= at).slice(0, this.size);
        const last = found.at(-1);
        if (last === undefined) return Promise.resolve([]);
        at = last + 1;
        const records = found.map((offset): BusRecord => {
          return { offset: asOffset(offset), appendedAtMs: 0, key: null, headers: {}, value: new Uint8Array() };
        });
        return Promise.resolve([{ topic, partition: 0, records, nextOffset: asOffset(at), highWater: asOffset(at) }]);
      };
      const close = (): Promise<void> => {
        this.closed += 1;
        return Promise.resolve();
      };
      return Promise.resolve({ poll, close } as unknown as BusReader);
    };
    return { openReader } as unknown as Bus;
  }
}

async function rest(cursor: LogCursor): Promise<readonly number[]> {
  const found: number[] = [];
  for (let record = await cursor.take(); record !== undefined; record = await cursor.take()) found.push(record.offset);
  return found;
}

describe('a log that several walk along', () => {
  it('gives each of them all that it wants, in order and once, however they take turns and however far one falls behind', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.nat(200), { maxLength: 80 }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 0, max: 10 }),
        fc.array(fc.nat(2), { maxLength: 200 }),
        async (some, size, heldMax, turns) => {
          const offsets = some.toSorted((a, b) => a - b);
          const log = new Log(offsets, size);
          const tap = new LogTap(log.bus, marks(0, 150), heldMax);
          const wants = [
            () => true,
            ({ offset }: BusRecord) => offset % 2 === 0,
            ({ offset }: BusRecord) => offset % 7 === 0,
          ];
          const cursors = wants.map((wanted) => tap.cursor(wanted));
          const taken: number[][] = wants.map(() => []);
          for (const turn of turns) {
            const record = await cursors[turn]?.take();
            if (record !== undefined) taken[turn]?.push(record.offset);
          }
          for (const [at, cursor] of cursors.entries()) taken[at]?.push(...(await rest(cursor)));
          await tap.close();
          const below = offsets.filter((offset) => offset < 150);
          expect(taken).toEqual([
            below,
            below.filter((offset) => offset % 2 === 0),
            below.filter((offset) => offset % 7 === 0),
          ]);
          expect(log.closed).toBe(log.readers.length);
        },
      ),
    );
  });

  it('is read once for cursors that go side by side, and once more for one that falls too far behind', async () => {
    const offsets = Array.from({ length: 100 }, (_, at) => at);
    const together = new Log(offsets, 10);
    const tap = new LogTap(together.bus, marks(0, 100), 50);
    const [a, b] = [tap.cursor(() => true), tap.cursor(() => true)];
    for (let n = 0; n < 100; n += 1) expect((await a.take())?.offset).toBe((await b.take())?.offset);
    expect(together.readers).toEqual([0]);

    const apart = new Log(offsets, 10);
    const other = new LogTap(apart.bus, marks(0, 100), 50);
    const [ahead, behind] = [other.cursor(() => true), other.cursor(() => true)];
    expect(await rest(ahead)).toHaveLength(100);
    // It holds what it was given, and reads on from there: six batches, of which the last took it over the bound.
    expect(behind.held).toBe(60);
    expect(await rest(behind)).toEqual(offsets);
    expect(apart.readers).toEqual([0, 60]);
    await other.close();
    expect(apart.closed).toBe(2);
  });

  it('begins at the oldest record and ends at the mark, though the log goes on', async () => {
    const log = new Log([3, 5, 8, 9, 12], 2);
    const cursor = new LogTap(log.bus, marks(4, 9)).cursor(() => true);
    expect(await rest(cursor)).toEqual([5, 8]);
    expect(await cursor.peek()).toBeUndefined();
    expect(cursor.head).toBeUndefined();
  });

  it('fails whoever asks when it cannot be read, and leaves no rejection unheard', async () => {
    const log = new Log([1, 2, 3, 4], 2);
    log.failing = 2;
    const tap = new LogTap(log.bus, marks(0, 10));
    const cursor = tap.cursor(() => true);
    expect([(await cursor.take())?.offset, (await cursor.take())?.offset]).toEqual([1, 2]);
    await expect(cursor.take()).rejects.toThrow('the bus is away');
    await tap.close();
    expect(log.closed).toBe(1);
  });
});
