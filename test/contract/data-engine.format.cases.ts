import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { parquetWriteBuffer } from 'hyparquet-writer';
import type { JsonObject } from '../../src/rails/canonical-json.js';
import { digestText } from '../../src/rails/digest.js';
import type { ObjectsHarness } from '../../src/substrate/objects/contract/kit.js';
import type { Objects } from '../../src/substrate/objects/objects.port.js';
import {
  documentedCase,
  freshScenario,
  HEADER,
  importOf,
  keysOf,
  linesOf,
  PLAIN,
  plainLines,
  rowsOf,
  seal,
} from './data-engine.kit.js';

const without = (mapping: JsonObject, ...names: readonly string[]): JsonObject =>
  Object.fromEntries(Object.entries(mapping).filter(([name]) => !names.includes(name)));

export function formatCases(openHarness: () => Promise<ObjectsHarness>): void {
  let harness: ObjectsHarness;
  let objects: Objects;

  beforeAll(async () => {
    harness = await openHarness();
    objects = await harness.open();
  });

  afterAll(async () => {
    await objects.close();
    await harness.close();
  });

  /** What an import of these bytes seals into both outputs. */
  const sealedOf = async (bytes: Uint8Array | string, mapping: JsonObject) => {
    const world = await seal(objects, await importOf(objects, bytes, mapping));
    expect(world.content.counts.rows_rejected).toBe(0);
    const texts = await Promise.all(['transactions', 'labels'].map((output) => linesOf(objects, world, output)));
    return texts.map((lines) => ({ rows: lines.length, digest: digestText(lines.join('\n')), first: lines[0] }));
  };

  it("takes the documented case: a user's own names, semicolons, local times and grouped amounts, in ten lines", async () => {
    const { csv, mapping, mappingLines } = documentedCase();
    expect(mappingLines).toBeLessThanOrEqual(10);
    const world = await seal(objects, await importOf(objects, csv, mapping));
    expect(world.content.status).toBe('SEALED_OK');
    expect((await rowsOf(objects, world, 'transactions')).map(({ payload, ts_utc }) => [ts_utc, payload])).toEqual(
      [
        ['2018-03-24T22:15:00.000000Z', 'A-1001', 'K-7', 'T-1', 123450],
        ['2018-03-25T01:30:00.000000Z', 'A-1002', 'K-8', 'T-2', 1200],
        ['2018-10-28T00:30:00.000000Z', 'A-1004', 'K-7', 'T-1', 50],
      ].map(([ts_utc, transaction_id, customer_id, terminal_id, amount_minor], row) => [
        ts_utc,
        {
          amount_minor,
          currency: 'EUR',
          customer_id,
          source: { output_id: 'transactions', row },
          terminal_id,
          transaction_id,
        },
      ]),
    );
    expect(
      (await rowsOf(objects, world, 'labels')).map(({ key, is_fraud, ts_utc }) => [key, is_fraud, ts_utc]),
    ).toEqual([
      ['A-1001', false, '2018-03-31T22:15:00.000000Z'],
      ['A-1002', false, '2018-04-01T01:30:00.000000Z'],
      ['A-1004', true, '2018-11-04T00:30:00.000000Z'],
    ]);
    expect((await rowsOf(objects, world, 'rejects')).map(({ row, reason }) => [row, reason])).toEqual([
      [3, 'TIME_NONEXISTENT'],
      [5, 'AMOUNT_INVALID'],
    ]);
  });

  it('makes the same rows of the same data in every format', async () => {
    // 21,000 rows: more than one slice of a Parquet file, and many pieces of everything else.
    const lines = plainLines(21_000);
    const cells = lines.map((line) => line.split(','));
    const csv = [HEADER, ...lines, ''].join('\n');
    const ndjson = cells
      .map(([id, at, amount, who, fraud]) => JSON.stringify({ id, at, amount: Number(amount), who, fraud, other: {} }))
      .join('\n');
    const column = (index: number): string[] => cells.map((row) => row[index] ?? '');
    const parquet = parquetWriteBuffer({
      columnData: [
        { name: 'id', data: column(0), type: 'STRING' },
        { name: 'at', data: column(1).map((at) => new Date(at)), type: 'TIMESTAMP' },
        { name: 'amount', data: column(2).map(Number), type: 'DOUBLE' },
        { name: 'who', data: column(3), type: 'STRING' },
        { name: 'fraud', data: column(4).map((fraud) => fraud === '1'), type: 'BOOLEAN' },
      ],
      rowGroupSize: 20_500,
    });
    const expected = await sealedOf(csv, PLAIN);
    expect(expected.map(({ rows }) => rows)).toEqual([21_000, 21_000]);

    const quoted = [HEADER, ...lines]
      .map((line) =>
        line
          .split(',')
          .map((cell) => `"${cell}"`)
          .join(';'),
      )
      .join('\r\n');
    const headless = { ...PLAIN, header: false, columns: HEADER.split(',') };
    const label = { ...(PLAIN['label'] as JsonObject), fraud_values: ['true'] };
    const variants: readonly (readonly [string, Uint8Array | string, JsonObject])[] = [
      ['csv.gz', gzipSync(csv), PLAIN],
      ['gzip in two members', Buffer.concat([gzipSync(csv.slice(0, 1_000)), gzipSync(csv.slice(1_000))]), PLAIN],
      ['csv of Windows', `\ufeff${quoted}`, { ...PLAIN, delimiter: ';' }],
      ['csv without header', lines.join('\n'), headless],
      ['ndjson', ndjson, { ...PLAIN, format: 'ndjson' }],
      ['ndjson.gz', gzipSync(`${ndjson}\n`), { ...PLAIN, format: 'ndjson' }],
      ['parquet', Buffer.from(parquet), { ...PLAIN, format: 'parquet', label }],
    ];
    for (const [name, bytes, mapping] of variants) {
      expect([name, ...(await sealedOf(bytes, mapping))]).toEqual([name, ...expected]);
    }
  });

  it('goes on behind a row that is broken', async () => {
    const lines = plainLines(6);
    const file = [
      HEADER,
      lines[0],
      'too,few,cells',
      lines[1],
      `"unclosed,${lines[2] ?? ''}`,
      lines[3],
      `a"b${lines[4] ?? ''}`,
      '',
      lines[5],
    ].join('\n');
    const world = await seal(objects, await importOf(objects, file, { ...PLAIN, rejected_share_max: 1 }));
    expect((await rowsOf(objects, world, 'transactions')).map(({ key }) => key)).toEqual(['t0', 't1', 't3', 't5']);
    expect((await rowsOf(objects, world, 'rejects')).map(({ row, reason, detail }) => [row, reason, detail])).toEqual([
      [2, 'ROW_MALFORMED', 'the row has 3 cells instead of 5'],
      [4, 'ROW_MALFORMED', 'something stands between a closing quote and the delimiter'],
      [6, 'ROW_MALFORMED', 'a quote stands within a cell that is not quoted'],
    ]);
    const ndjson = [
      '{"id":"a","at":"2024-01-01T00:00:00Z","amount":1,"who":"c"}',
      '{"id":',
      '[1]',
      '{"id":12345678901234567890}',
    ];
    const mapping = { ...without(PLAIN, 'label'), format: 'ndjson', rejected_share_max: 1 };
    const second = await seal(objects, await importOf(objects, ndjson.join('\n'), mapping));
    expect(second.content.counts).toMatchObject({
      rows_read: 4,
      rows_sealed: 1,
      rejected_by_reason: { ROW_MALFORMED: 3 },
    });
  });

  it.each([
    ['an empty file', '', {}, 'ENGINE_SOURCE_UNREADABLE', 'there is no header'],
    ['a column twice', 'id,id\n1,2\n', {}, 'ENGINE_SOURCE_UNREADABLE', '"id" twice'],
    [
      'a header that lacks a column',
      'id,at,amount,fraud\n',
      {},
      'ENGINE_MAPPING_INVALID',
      'no column "who"; it has "id", "at"',
    ],
    [
      'bytes of another encoding',
      Buffer.from(`${HEADER}\nt1,\xe4\n`, 'latin1'),
      {},
      'ENGINE_SOURCE_UNREADABLE',
      'not UTF-8',
    ],
    ['gzip that is cut', gzipSync(Buffer.alloc(9_000, 'x')).subarray(0, 30), {}, 'ENGINE_SOURCE_UNREADABLE', 'gzip'],
    ['a line that never ends', Buffer.alloc(5_000_000, 'x'), {}, 'ENGINE_SOURCE_UNREADABLE', 'longer than'],
    ['what is no Parquet', 'PAR1 not really', { format: 'parquet' }, 'ENGINE_SOURCE_UNREADABLE', 'Parquet'],
  ])('makes no world of %s', async (_, bytes, change, code, says) => {
    const asked = await importOf(objects, bytes, { ...PLAIN, ...change }, freshScenario());
    await expect(seal(objects, asked)).rejects.toMatchObject({ code, detail: expect.stringContaining(says) });
    expect(await keysOf(objects, asked)).toEqual([]);
  });

  it('reads Parquet of single precision, of local times and of dates', async () => {
    const parquet = parquetWriteBuffer({
      columnData: [
        { name: 'id', data: [1n, 2n], type: 'INT64' },
        { name: 'day', data: ['2024-07-01', '2024-01-01'], type: 'STRING' },
        { name: 'amount', data: [57.16, 0.1], type: 'FLOAT' },
        { name: 'who', data: ['c', 'c'], type: 'STRING' },
      ],
    });
    const mapping = {
      ...without(PLAIN, 'label'),
      format: 'parquet',
      time: { column: 'day', format: 'iso', zone: 'Europe/Paris' },
    };
    const world = await seal(objects, await importOf(objects, Buffer.from(parquet), mapping));
    expect(
      (await rowsOf(objects, world, 'transactions')).map(({ key, ts_utc, payload }) => [
        key,
        ts_utc,
        (payload as JsonObject)['amount_minor'],
      ]),
    ).toEqual([
      ['2', '2023-12-31T23:00:00.000000Z', 10],
      ['1', '2024-06-30T22:00:00.000000Z', 5716],
    ]);
  });
}
