import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type Offset } from '../bus.port.js';
import { committedPart, cutIntoBatches, encodedBytesMax, offsetOf } from './kafka.log.core.js';
import { type RawPartition, type RawRecord } from './kafka.protocol.js';

describe('an offset', () => {
  it('is taken where it is a safe whole number, and refused otherwise', () => {
    expect(offsetOf('0')).toBe(0);
    expect(offsetOf('9007199254740991')).toBe(Number.MAX_SAFE_INTEGER);
    for (const text of ['-1', '-2', '', '1.5', '9007199254740992', '9223372036854775807', '1e3', ' 1', 'NaN'])
      expect(() => offsetOf(text)).toThrow('INTERNAL');
  });
});

interface Transaction {
  readonly producer: number;
  readonly sizes: readonly number[];
  readonly committed: boolean;
}

/** A log as a broker keeps it: batches of several writers' transactions interleaved, each ended by a marker. */
function logOf(transactions: readonly Transaction[], order: readonly number[]) {
  const messages: RawRecord[] = [];
  const aborted: { producerId: string; firstOffset: string }[] = [];
  const committed: number[] = [];
  let offset = 0;
  const open = transactions.map((transaction) => ({ ...transaction, at: 0, first: -1, offsets: [] as number[] }));
  const busy = new Map<number, number>();
  const push = (index: number, count: number, marker?: Buffer) => {
    const batchContext = {
      firstOffset: String(offset),
      lastOffsetDelta: count - 1,
      producerId: String(open[index]?.producer),
      inTransaction: true,
    };
    for (let delta = 0; delta < count; delta += 1, offset += 1) {
      if (marker === undefined) open[index]?.offsets.push(offset);
      messages.push({
        offset: String(offset),
        timestamp: '1',
        key: marker ?? null,
        value: Buffer.from(String(offset)),
        headers: {},
        isControlRecord: marker !== undefined,
        batchContext,
      });
    }
  };
  const step = (index: number): boolean => {
    const one = open[index];
    if (one === undefined || one.at > one.sizes.length) return false;
    // A writer has one transaction at a time.
    const holder = busy.get(one.producer);
    if (holder !== undefined && holder !== index) return false;
    busy.set(one.producer, index);
    const size = one.sizes[one.at];
    if (size !== undefined) {
      if (one.first < 0) one.first = offset;
      push(index, size);
    } else {
      if (!one.committed && one.first >= 0)
        aborted.push({ producerId: String(one.producer), firstOffset: String(one.first) });
      if (one.committed) committed.push(...one.offsets);
      push(index, 1, Buffer.from([0, 0, 0, one.committed ? 1 : 0]));
      busy.delete(one.producer);
    }
    one.at += 1;
    return true;
  };
  for (const choice of order) step(choice % Math.max(1, open.length));
  for (let moved = true; moved;) moved = open.map((_, index) => step(index)).some(Boolean);
  return { messages, aborted, committed: committed.sort((a, b) => a - b), end: offset };
}

const anyTransaction = fc.record({
  producer: fc.integer({ min: 1, max: 3 }),
  sizes: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 3 }),
  committed: fc.boolean(),
});

describe('the committed part of a fetch', () => {
  it('is what was committed from the wanted offset on, whatever was aborted between, and ends past all of it', () => {
    fc.assert(
      fc.property(
        fc.array(anyTransaction, { maxLength: 8 }),
        fc.array(fc.nat(), { maxLength: 30 }),
        fc.nat(40),
        (transactions, order, wanted) => {
          const { messages, aborted, committed, end } = logOf(transactions, order);
          const from = Math.min(wanted, end);
          // A broker answers with whole batches that end past the wanted offset, and names every transaction that was
          // aborted at or after it, in no promised order.
          const shown = messages.filter(
            ({ batchContext }) => Number(batchContext.firstOffset) + batchContext.lastOffsetDelta >= from,
          );
          const raw: RawPartition = {
            partition: 0,
            highWatermark: String(end),
            lastStableOffset: String(end),
            abortedTransactions: [...aborted].reverse().filter((one) => {
              const marker = messages.find(
                (message) =>
                  message.isControlRecord &&
                  message.batchContext.producerId === one.producerId &&
                  Number(message.offset) > Number(one.firstOffset),
              );
              return Number(marker?.offset) >= from;
            }),
            messages: shown,
          };
          const part = committedPart(raw, from as Offset);
          expect(part.records.map(({ offset }) => Number(offset))).toEqual(
            committed.filter((offset) => offset >= from),
          );
          expect(Number(part.nextOffset)).toBe(end);
        },
      ),
    );
  });

  it('moves over a batch whose last records were compacted away', () => {
    const batchContext = { firstOffset: '10', lastOffsetDelta: 9, producerId: '-1', inTransaction: false };
    const message: RawRecord = {
      offset: '12',
      timestamp: '7',
      key: Buffer.from('k'),
      value: null,
      headers: { one: Buffer.from('1'), many: [Buffer.from('a'), Buffer.from('b')] },
      isControlRecord: false,
      batchContext,
    };
    const raw = {
      partition: 0,
      highWatermark: '30',
      lastStableOffset: '25',
      abortedTransactions: null,
      messages: [message],
    };
    expect(committedPart(raw, 11 as Offset)).toEqual({
      records: [{ offset: 12, key: 'k', value: new Uint8Array(0), headers: { one: '1', many: 'b' }, appendedAtMs: 7 }],
      nextOffset: 20,
      highWater: 25,
    });
  });
});

describe('cutting into batches', () => {
  it('keeps every record in order and every batch of more than one within the limit', () => {
    const anyRecord = fc.record({
      key: fc.option(fc.string({ maxLength: 5 }), { nil: null }),
      value: fc.uint8Array({ maxLength: 50 }),
      headers: fc.dictionary(fc.string({ maxLength: 3 }), fc.string({ maxLength: 5 }), { maxKeys: 2 }),
    });
    fc.assert(
      fc.property(fc.array(anyRecord, { maxLength: 40 }), fc.integer({ min: 100, max: 600 }), (records, limit) => {
        const batches = cutIntoBatches(records, limit);
        expect(batches.flat()).toEqual(records);
        for (const batch of batches) {
          expect(batch.length).toBeGreaterThan(0);
          const bytes = 61 + batch.reduce((sum, record) => sum + encodedBytesMax(record), 0);
          if (batch.length > 1) expect(bytes).toBeLessThanOrEqual(limit);
        }
      }),
    );
  });
});
