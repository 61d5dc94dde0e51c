import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { readdirSync } from 'node:fs';
import { type Ref } from '../../../rails/ref.js';
import { type Objects } from '../objects.port.js';
import {
  BINARY,
  bytesOf,
  collect,
  digestOf,
  eventually,
  freshPrefix,
  keyUnder,
  noise,
  noiseStream,
  type ObjectsHarness,
  refusal,
  refusalCode,
  refWith,
  type Tampering,
  TEXT,
} from './kit.js';

const SIZE = 600_000;

export function readCases(harness: () => ObjectsHarness, store: () => Objects): void {
  const put = async (bytes: Uint8Array): Promise<Ref> =>
    (await store().putIfAbsent(keyUnder(freshPrefix(), 'object'), bytes, BINARY)).ref;

  /** All the ways to read; each one must find what is wrong, and name the key. */
  const readings = (ref: Ref): Promise<unknown>[] => [
    store().read(ref),
    collect(store().open(ref)),
    store().readRange(ref, { start: 0, end: 1 }),
    store().readRange(ref, { start: ref.size - 1, end: ref.size }),
  ];
  const expectFound = async (ref: Ref): Promise<void> => {
    const errors = await Promise.all(readings(ref).map(refusal));
    expect(errors.map(({ code, data }) => [code, data['key']])).toEqual(
      errors.map(() => ['OBJECTS_DIGEST_MISMATCH', ref.locator]),
    );
    expect(errors.every(({ message }) => message.includes(ref.locator))).toBe(true);
  };

  describe('reading', () => {
    it('gives back what was put, whole, as a stream and in parts', async () => {
      const bytes = noise(SIZE);
      const ref = await put(bytes);
      expect(Buffer.compare(await store().read(ref), bytes)).toBe(0);
      expect(Buffer.compare(await collect(store().open(ref)), bytes)).toBe(0);
      // Some of them across the borders of the chunks in which adapters read.
      await fc.assert(
        fc.asyncProperty(fc.nat({ max: SIZE - 1 }), fc.integer({ min: 1, max: SIZE }), async (start, length) => {
          const end = Math.min(start + length, SIZE);
          expect(Buffer.compare(await store().readRange(ref, { start, end }), bytes.subarray(start, end))).toBe(0);
        }),
        {
          numRuns: 15,
          examples: [
            [0, SIZE],
            [SIZE - 1, 1],
            [65_535, 2],
            [262_143, 2],
          ],
        },
      );
    });

    it('says that there is nothing, under a key and for a ref', async () => {
      const ref = refWith(await put(bytesOf('something')), {});
      const missing = { ...ref, locator: keyUnder(freshPrefix(), 'missing') };
      expect(await store().head(missing.locator)).toBeNull();
      const errors = await Promise.all(readings(missing).map(refusal));
      expect(errors.map(({ code }) => code)).toEqual(errors.map(() => 'OBJECTS_NOT_FOUND'));
      // Neither is a folder an object, nor what lies beyond one.
      expect(await store().head(keyUnder(ref.locator.replace('/object', '/'), 'object/more'))).toBeNull();
    });

    it('refuses ranges that do not lie within the object', async () => {
      const ref = await put(noise(100));
      const ranges: readonly (readonly [number, number])[] = [
        [-1, 5],
        [0, 0],
        [5, 5],
        [6, 5],
        [0, 101],
        [100, 101],
        [0.5, 2],
        [0, Number.NaN],
      ];
      const codes = await Promise.all(
        ranges.map(([start, end]) => refusalCode(store().readRange(ref, { start, end }))),
      );
      expect(codes).toEqual(ranges.map(() => 'OBJECTS_RANGE_INVALID'));
    });

    it('does not take more into memory than the caller allows', async () => {
      const ref = await put(noise(1_000));
      expect(await refusalCode(store().read(ref, { bytesMax: 999 }))).toBe('OBJECTS_TOO_LARGE');
      expect((await store().read(ref, { bytesMax: 1_000 })).byteLength).toBe(1_000);
    });
  });

  describe('finding damage', () => {
    const DAMAGES: readonly (readonly [string, Tampering])[] = [
      ['its first byte flipped', { how: 'flip', offset: 0 }],
      ['a byte flipped in the middle', { how: 'flip', offset: 300_001 }],
      ['its last byte flipped', { how: 'flip', offset: SIZE - 1 }],
      ['its last byte cut off', { how: 'truncate', bytes: 1 }],
      ['most of it cut off', { how: 'truncate', bytes: SIZE - 10 }],
      ['all of it cut off', { how: 'truncate', bytes: SIZE }],
      ['a byte added', { how: 'extend', bytes: 1 }],
      ['a megabyte added', { how: 'extend', bytes: 1_000_000 }],
      ['other bytes and a record to match in its place', { how: 'replace', by: noise(SIZE, 7) }],
      ['shorter bytes and a record to match in its place', { how: 'replace', by: noise(10, 7) }],
    ];
    it.each(DAMAGES)('finds an object with %s, on every way to read it', async (_, tampering) => {
      const ref = await put(noise(SIZE));
      await harness().tamper(ref.locator, tampering);
      await expectFound(ref);
    });

    it('finds a ref that names other bytes or another size than stand there', async () => {
      const ref = await put(noise(SIZE));
      await expectFound(refWith(ref, { digest: digestOf('other') }));
      await expectFound(refWith(ref, { size: SIZE - 1 }));
      await expectFound(refWith(ref, { size: SIZE + 1 }));
      expect((await store().read(ref)).byteLength).toBe(SIZE);
    });
  });

  describe('stopping early', () => {
    it('leaks neither files nor connections when consumers stop or fail', async () => {
      const { ref } = await store().putIfAbsent(keyUnder(freshPrefix(), 'long'), noiseStream(4_000_000), BINARY);
      const before = openFiles();
      const stop = async (index: number): Promise<void> => {
        for await (const chunk of store().open(ref)) {
          if (index % 2 === 0) return;
          throw new Error(`enough after ${chunk.byteLength} bytes`);
        }
      };
      // More than any adapter has connections: were they kept, the later ones would wait for ever.
      const ends = await Promise.allSettled(Array.from({ length: 200 }, (_, index) => stop(index)));
      expect(ends.filter(({ status }) => status === 'rejected')).toHaveLength(100);
      expect((await store().read(ref)).byteLength).toBe(4_000_000);
      // Some connections stay open for the next request; the 200 do not.
      await eventually(() => openFiles() <= before + 70);
      // A stream that nobody begins to read holds nothing.
      const unread = Array.from({ length: 200 }, () => store().open(ref));
      expect(unread).toHaveLength(200);
      expect(openFiles()).toBeLessThanOrEqual(before + 70);
    });

    it('ends a stream for good when it has failed', async () => {
      const ref = await put(bytesOf('to be damaged'));
      await harness().tamper(ref.locator, { how: 'flip', offset: 3 });
      const iterator = store().open(ref)[Symbol.asyncIterator]();
      const drain = async (): Promise<void> => {
        while ((await iterator.next()).done !== true);
      };
      expect(await refusalCode(drain())).toBe('OBJECTS_DIGEST_MISMATCH');
      expect(await iterator.next()).toEqual({ done: true, value: undefined });
    });
  });

  describe('being asked how it is', () => {
    it('is well while it is open, and says so when it is closed', async () => {
      const own = await harness().open();
      const well = await own.health();
      expect([well.ok, well.detail.length > 10, well.tookMs >= 0]).toEqual([true, true, true]);
      const { ref } = await own.putIfAbsent(keyUnder(freshPrefix(), 'last'), bytesOf('last'), TEXT);
      await own.close();
      expect((await own.health()).ok).toBe(false);
      expect(await refusalCode(own.read(ref))).toBe('OBJECTS_UNAVAILABLE');
      expect(await refusalCode(own.list(''))).toBe('OBJECTS_UNAVAILABLE');
      expect((await store().read(ref)).toString()).toBe('last');
    });
  });
}

function openFiles(): number {
  return readdirSync('/proc/self/fd').length;
}
