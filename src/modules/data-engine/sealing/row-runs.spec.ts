import { readdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { RowRuns } from './row-runs.js';
import { ScratchFile } from './scratch.js';

interface Row {
  readonly key: string;
  readonly head: string;
  readonly tail: string;
}

describe('the sorting of rows', () => {
  let folder: string;
  let opened: ScratchFile[];
  let closed: number;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'probity-runs-'));
    opened = [];
    closed = 0;
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  const openScratch = async (): Promise<ScratchFile> => {
    const scratch = await ScratchFile.open(folder);
    const close = scratch.close.bind(scratch);
    const counted = async (): Promise<void> => {
      closed += 1;
      await close();
    };
    opened.push(Object.assign(scratch, { close: counted }));
    return scratch;
  };

  async function sorted(rows: readonly Row[], pageBytes: number, fanIn: number): Promise<Row[]> {
    const runs = new RowRuns({ keyBytes: 3, pageBytes, fanIn, openScratch });
    const out: Row[] = [];
    try {
      for (const { key, head, tail } of rows) {
        if (runs.tryAdd(key, head, tail)) continue;
        await runs.flush();
        expect(runs.tryAdd(key, head, tail)).toBe(true);
      }
      await runs.drain(({ bytes, head, tail, end, key }) => {
        out.push({ key, head: bytes.toString('utf8', head, tail), tail: bytes.toString('utf8', tail, end) });
        return undefined;
      });
      expect(runs.rows).toBe(rows.length);
    } finally {
      await runs.close();
    }
    return out;
  }

  const row = fc.record({
    key: fc.integer({ min: 0, max: 30 }).map((key) => String(key).padStart(3, '0')),
    head: fc.oneof(fc.string({ maxLength: 12 }), fc.constantFrom('ü', '😀', '')),
    tail: fc.string({ maxLength: 6 }),
  });

  it('is a stable sort, whatever the page and the number of runs that are merged at a time', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(row, { maxLength: 120 }),
        fc.constantFrom(80, 200, 100_000),
        fc.constantFrom(2, 3, 32),
        async (rows, pageBytes, fanIn) => {
          const expected = [...rows].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
          expect(await sorted(rows, pageBytes, fanIn)).toEqual(expected);
        },
      ),
      { numRuns: 150 },
    );
    expect(opened.length).toBeGreaterThan(0);
    expect(closed).toBe(opened.length);
  });

  it('does not touch the disk for few rows', async () => {
    const rows = ['003', '001', '002'].map((key) => ({ key, head: key, tail: '' }));
    expect((await sorted(rows, 100_000, 32)).map(({ key }) => key)).toEqual(['001', '002', '003']);
    expect(opened).toEqual([]);
  });

  it('writes rows that come in order once, however many pages they fill', async () => {
    const rows = Array.from({ length: 500 }, (_, index) => ({
      key: String(index).padStart(3, '0'),
      head: 'x'.repeat(20),
      tail: '',
    }));
    // Merging two at a time would take further files, were they more than one run.
    expect(await sorted(rows, 200, 2)).toEqual(rows);
    expect(opened).toHaveLength(1);
  });

  it('reads rows that are longer than its buffer', async () => {
    const rows = ['002', '001'].map((key) => ({ key, head: key + 'ä'.repeat(100_000), tail: 'end' }));
    expect(await sorted(rows, 700_000, 2)).toEqual([...rows].reverse());
  });

  it('leaves no name in the temporary folder, not even while it works', async () => {
    const runs = new RowRuns({ keyBytes: 3, pageBytes: 80, openScratch });
    runs.tryAdd('001', 'x', '');
    await runs.flush();
    expect(opened).toHaveLength(1);
    expect(readdirSync(folder)).toEqual([]);
    await runs.close();
  });

  it('gives its files back after a taker that failed', async () => {
    const runs = new RowRuns({ keyBytes: 3, pageBytes: 80, fanIn: 2, openScratch });
    for (const key of ['005', '004', '003', '002', '001']) {
      runs.tryAdd(key, 'x', '');
      await runs.flush();
    }
    const failing = runs.drain(() => Promise.reject(new Error('no more')));
    await expect(failing).rejects.toThrow('no more');
    await runs.close();
    expect(opened.length).toBeGreaterThan(1);
    expect(closed).toBe(opened.length);
  });

  it('refuses a row that no page can hold, and a key of another width', () => {
    const runs = new RowRuns({ keyBytes: 3, pageBytes: 80, openScratch });
    expect(() => runs.tryAdd('001', 'x'.repeat(100), '')).toThrow('ENGINE_SOURCE_UNREADABLE');
    expect(() => runs.tryAdd('1', 'x', '')).toThrow('no sort key of 3 characters');
  });

  it('says when the folder cannot be used', async () => {
    await expect(ScratchFile.open(join(folder, 'missing'))).rejects.toThrow('ENGINE_SCRATCH_UNAVAILABLE');
  });
});
