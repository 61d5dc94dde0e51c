import { describe, expect, it } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { parquetMetadata, parquetReadObjects } from 'hyparquet';
import type { Offset } from '../../rails/eb-ref.js';
import type { Column } from './dataset.schema.js';
import { type Cell, parquetOf } from './parquet-rows.js';
import { compareLines, mergedLines, type SortedLine, SortedRuns } from './sorted-runs.js';
import { SpoolCursor, SpoolWriter } from './spool.js';

const scratch = (): Promise<string> => mkdtemp(join(tmpdir(), 'probity-files-'));

async function sorted(parts: readonly (readonly SortedLine[])[], pageLines: number): Promise<SortedLine[]> {
  const folder = await scratch();
  const names: string[] = [];
  for (const [at, part] of parts.entries()) {
    const runs = new SortedRuns(folder, `part-${at}`, pageLines);
    for (const line of part) if (runs.add(line)) await runs.flush();
    await runs.flush();
    names.push(...runs.files);
  }
  const lines: SortedLine[] = [];
  for await (const page of mergedLines(names, 7)) lines.push(...page);
  await rm(folder, { recursive: true });
  return lines;
}

describe('lines in order', () => {
  it('come out the same, however they were dealt to files', async () => {
    const line = fc.record({
      ts: fc.integer({ min: 0, max: 20 }),
      id: fc.string({ minLength: 1, maxLength: 5, unit: 'binary' }),
      text: fc.jsonValue().map((value) => JSON.stringify(value)),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(line, { maxLength: 60 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 9 }),
        async (lines, of, pageLines) => {
          const dealt = Array.from({ length: of }, (_, at) => lines.filter((_line, index) => index % of === at));
          expect(await sorted(dealt, pageLines)).toEqual([...lines].sort(compareLines));
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe('a copy of a log', () => {
  it('gives back what was put, also what is longer than a read', async () => {
    const sizes = [0, 1, 3_000, 1024 * 1024 + 5, 12];
    const folder = await scratch();
    const writer = await SpoolWriter.open(folder, 'events', 3);
    const values = sizes.map((size, at) => Buffer.alloc(size, at + 1));
    values.forEach((value, at) => writer.add({ value, offset: (at * 5) as Offset }));
    await writer.close();
    const cursor = new SpoolCursor(folder, 'events', 3);
    const read: [number, boolean][] = [];
    for (let record = cursor.head; record !== undefined; record = cursor.head) {
      read.push([record.offset, values[read.length]?.equals(record.value) ?? false]);
      cursor.skip();
    }
    cursor.close();
    await rm(folder, { recursive: true });
    expect(read).toEqual(sizes.map((_, at) => [at * 5, true]));
  });
});

describe('rows as Parquet', () => {
  const columns: readonly Column[] = [
    { name: 'id', type: 'STRING', nullable: false },
    { name: 'ts', type: 'TIMESTAMP_MICROS', nullable: false },
    { name: 'value', type: 'INT64', nullable: true },
    { name: 'flag', type: 'BOOLEAN', nullable: true },
  ];
  const bytesOf = async (rows: readonly (readonly Cell[])[], pageRows: number, groupRows?: number): Promise<Buffer> => {
    const pages = (async function* () {
      await Promise.resolve();
      for (let at = 0; at < rows.length; at += pageRows) yield rows.slice(at, at + pageRows);
    })();
    const pieces: Buffer[] = [];
    for await (const piece of parquetOf(columns, pages, groupRows)) pieces.push(piece);
    return Buffer.concat(pieces);
  };
  const rows = Array.from({ length: 1_000 }, (_, n): Cell[] => [
    ...[`e-${n}`, 1_522_540_800_000_001 + n],
    ...[n % 3 === 0 ? null : `${n}00000000000000`, n % 2 === 0 ? null : n % 5 === 0],
  ]);

  it('are read back exactly, in groups of the size that was asked for', async () => {
    const bytes = await bytesOf(rows, 64, 300);
    const file = new Uint8Array(bytes).buffer;
    expect(parquetMetadata(file).row_groups.map(({ num_rows }) => num_rows)).toEqual([300n, 300n, 300n, 100n]);
    const read: readonly Readonly<Record<string, unknown>>[] = await parquetReadObjects({
      file,
      parsers: { timestampFromMicroseconds: (micros: bigint) => micros },
    });
    expect(read.map(({ id, ts, value, flag }) => [id, ts, value ?? null, flag ?? null])).toEqual(
      rows.map(([id, ts, value, flag]) => [
        id,
        BigInt(ts ?? 0),
        value === null || value === undefined ? null : BigInt(value),
        flag,
      ]),
    );
  });

  it('are the same bytes however they come, and other bytes when one value differs', async () => {
    const [one, other] = await Promise.all([bytesOf(rows, 1), bytesOf(rows, 999)]);
    expect(one.equals(other)).toBe(true);
    const changed = rows.map((row, at) => (at === 500 ? [row[0] ?? '', row[1] ?? 0, '7', true] : row));
    expect((await bytesOf(changed, 64)).equals(one)).toBe(false);
  });

  it('hold no number that has more than 64 bits', async () => {
    const most = (2n ** 63n - 1n).toString();
    await expect(bytesOf([['e', 1, most, null]], 1)).resolves.toBeDefined();
    await expect(bytesOf([['e', 1, (2n ** 63n).toString(), null]], 1)).rejects.toMatchObject({
      code: 'OFS_VALUE_TOO_LARGE',
    });
  });
});
