import { describe, expect, it } from '@jest/globals';
import { digestBytes } from '../../../rails/digest.js';
import { objectKey, type Ref, refTo } from '../../../rails/ref.js';
import type { Frame } from './frames.js';
import { PartWriter } from './parts.js';

const frameOf = (key: string, head: string, tail = ''): Frame => {
  const bytes = Buffer.from(head + tail);
  return { bytes, start: 0, head: 0, tail: Buffer.byteLength(head), end: bytes.byteLength, key };
};

describe('the writing of parts', () => {
  const put = new Map<number, string>();
  const writer = (partBytesMax: number, numbered = true): PartWriter => {
    put.clear();
    return new PartWriter({
      numbered,
      timed: true,
      partBytesMax,
      put: async (number, bytes): Promise<Ref> => {
        const text = Buffer.from(bytes).toString('utf8');
        // The bytes must stay as they are until the promise resolves.
        await new Promise((resolve) => setImmediate(resolve));
        expect(Buffer.from(bytes).toString('utf8')).toBe(text);
        put.set(number, text);
        return refTo(objectKey(`p/${number}`), digestBytes(bytes), bytes.byteLength, 'application/x-ndjson');
      },
    });
  };

  it('numbers the rows through all parts, and keeps every part within its bound', async () => {
    const parts = writer(100);
    for (let row = 0; row < 60; row += 1) {
      const wait = parts.take(frameOf(`k${row}`, `head ${row} `, ' tail'));
      if (wait !== undefined) await wait;
    }
    const made = await parts.finish();
    const lines = [...put.values()].join('').trimEnd().split('\n');
    expect(lines).toEqual(Array.from({ length: 60 }, (_, row) => `head ${row} ${row} tail`));
    expect(made.length).toBeGreaterThan(5);
    let first = 0;
    for (const [index, part] of made.entries()) {
      expect(part.ref.size).toBeLessThanOrEqual(100);
      expect([part.ref.locator, part.first_row]).toEqual([`p/${index}`, first]);
      const text = put.get(index) ?? '';
      expect(part.rows).toBe(text.split('\n').length - 1);
      expect(part).toMatchObject({ first_ts_utc: `k${first}`, last_ts_utc: `k${first + part.rows - 1}` });
      first += part.rows;
    }
    expect([first, parts.rows]).toEqual([60, 60]);
  });

  it('makes no part of no rows', async () => {
    expect(await writer(100).finish()).toEqual([]);
    expect(put.size).toBe(0);
  });

  it('grows from small to a row that is larger than its first buffer', async () => {
    const parts = writer(1_000_000, false);
    const large = 'x'.repeat(300_000);
    for (const head of [large, 'small', large, large, large]) {
      const wait = parts.take(frameOf('k', head));
      if (wait !== undefined) await wait;
    }
    await parts.finish();
    expect([...put.values()]).toEqual([`${large}\nsmall\n${large}\n${large}\n`, `${large}\n`]);
  });

  it('fails with what the putting failed with, and goes no further', async () => {
    const failing = new PartWriter({
      numbered: false,
      timed: false,
      partBytesMax: 20,
      put: () => Promise.reject(new Error('full')),
    });
    const write = async (): Promise<void> => {
      for (let row = 0; row < 10; row += 1) await failing.take(frameOf('k', 'x'.repeat(15)));
    };
    await expect(write()).rejects.toThrow('full');
  });
});
