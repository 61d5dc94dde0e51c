import { afterAll, beforeAll, expect, it } from '@jest/globals';
import {
  OUTPUT_GATE,
  type OutputIndex,
  outputScope,
  worldKey,
  worldPinsOf,
} from '../../src/modules/data-engine/data-engine.port.js';
import type { RowSink, WorldSource } from '../../src/modules/data-engine/world-source.js';
import { canonicalJson, type JsonObject } from '../../src/rails/canonical-json.js';
import { asGateReceipt, demandPass } from '../../src/rails/gate.js';
import type { ScenarioId, Seed } from '../../src/rails/pins.js';
import { objectKey, type Ref } from '../../src/rails/ref.js';
import type { UtcMicros } from '../../src/rails/time.js';
import type { ObjectsHarness } from '../../src/substrate/objects/contract/kit.js';
import type { Objects } from '../../src/substrate/objects/objects.port.js';
import {
  freshScenario,
  HEADER,
  importOf,
  jsonOf,
  keysOf,
  linesOf,
  PLAIN,
  plainLines,
  rowsOf,
  seal,
} from './data-engine.kit.js';

/** A seal of ENGINE_FORMAT 1 that was made once. If it changes, sealed worlds could no longer be made again: raise the format. */
const GOLDEN_SEAL = '1af36224374bb744e7f9652ecab4bd02f72990968a2bc809e6727838bf14644c';

const at = (second: number): UtcMicros => new Date(second * 1_000).toISOString().replace('Z', '000Z') as UtcMicros;
const traffic = (key: string, second: number, more: JsonObject = {}) => ({
  key,
  ts_utc: at(second),
  payload: { transaction_id: key, amount_minor: 1, currency: 'EUR', customer_id: 'c', ...more },
});

function generated(produce: (sink: RowSink) => Promise<number>, rejectedShareMax = 0): WorldSource {
  return { kind: 'generate', produce: async (sink) => ({ rowsRead: await produce(sink), rejectedShareMax }) };
}

export function sealCases(openHarness: () => Promise<ObjectsHarness>): void {
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

  const invocation = () =>
    ({ kind: 'generate', scenario_id: freshScenario(), seed: '7' as Seed, parameters: { pack: 'test' } }) as const;
  const make = async (produce: (sink: RowSink) => Promise<number>, rejectedShareMax = 0) => {
    const asked = invocation();
    return await seal(objects, asked, { source: generated(produce, rejectedShareMax) });
  };

  it('names every byte: seal, receipts, indexes, parts, parameters and source, each canonical', async () => {
    const asked = await importOf(objects, [HEADER, ...plainLines(300)].join('\n'));
    const world = await seal(objects, asked);
    const { content } = world;
    const pins = worldPinsOf(asked);
    expect(content).toMatchObject({
      status: 'SEALED_OK',
      kind: 'import',
      pins,
      source: asked.source,
      counts: { rows_read: 300, rows_sealed: 300, rows_rejected: 0, rejected_by_reason: {} },
      first_ts_utc: '2024-01-01T00:00:00.000000Z',
      last_ts_utc: '2024-01-01T00:04:59.000000Z',
      reason_codes: [],
    });
    expect(await jsonOf(objects, content.parameters)).toEqual(PLAIN);
    expect(content.outputs.map(({ output_id, role, rows }) => [output_id, role, rows])).toEqual([
      ['labels', 'truth_products', 300],
      ['transactions', 'business_traffic', 300],
    ]);
    const named = [world.seal, content.parameters];
    for (const { output_id, index, receipt, rows } of content.outputs) {
      const verdict = asGateReceipt(await jsonOf(objects, receipt));
      expect(verdict).toMatchObject({ status: 'PASS', evidence: [content.parameters, asked.source], reason_codes: [] });
      demandPass(verdict, index, { gate_id: OUTPUT_GATE, scope: outputScope(pins, output_id) });
      const { parts, ...about } = await jsonOf<OutputIndex>(objects, index);
      expect(about).toMatchObject({ output_id, pins, rows });
      expect(parts.map(({ ref }) => ref.locator)).toEqual([worldKey(pins, `${output_id}/part-00000.ndjson`)]);
      named.push(index, receipt, ...parts.map(({ ref }) => ref));
    }
    expect(await keysOf(objects, asked)).toEqual(named.map(({ locator }) => locator as string).sort());
    for (const ref of named) {
      for (const line of (await objects.read(ref)).toString('utf8').trimEnd().split('\n')) {
        expect(canonicalJson(JSON.parse(line))).toBe(line);
      }
    }
  });

  it('seals the same bytes as ever', async () => {
    const file = [HEADER, ...plainLines(50), 'bad,never,1.00,c1,0'].join('\n');
    const world = await seal(
      objects,
      await importOf(objects, file, { ...PLAIN, rejected_share_max: 0.1 }, 'golden' as ScenarioId),
    );
    expect(world.seal.digest.hex).toBe(GOLDEN_SEAL);
  });

  it('puts rows into the order of time, and within a moment into the order in which they came', async () => {
    // 20,000 rows of 5 MB in an order that is no order: more than one page is sorted and merged.
    const second = (row: number): number => (row * 7_919) % 1_000;
    const world = await make(async (sink) => {
      for (let row = 0; row < 20_000; row += 500) {
        const rows = Array.from({ length: 500 }, (_, index) =>
          traffic(`k${row + index}`, second(row + index), { merchant_id: 'm'.repeat(100) }),
        );
        await sink.traffic(rows);
        await sink.labels(
          rows.map(({ key, ts_utc }) => ({
            key,
            ts_utc,
            fields: { transaction_id: key, is_fraud: false, effective_at_utc: ts_utc },
          })),
        );
      }
      return 20_000;
    });
    const expected = Array.from({ length: 20_000 }, (_, row) => row)
      .sort((a, b) => second(a) - second(b) || a - b)
      .map((row) => `k${row}`);
    const rows = await rowsOf(objects, world, 'transactions');
    expect(rows.map(({ key }) => key)).toEqual(expected);
    expect(rows.map(({ payload }) => (payload as { source: { row: number } }).source.row)).toEqual(
      expected.map((_, row) => row),
    );
    expect((await rowsOf(objects, world, 'labels')).map(({ key }) => key)).toEqual(expected);
  });

  it('gives the same world however the rows come in batches', async () => {
    const all = Array.from({ length: 60 }, (_, row) => traffic(`k${row}`, row % 9));
    const asked = invocation();
    const digests = [];
    for (const size of [1, 7, 60]) {
      const source = generated(async (sink) => {
        for (let from = 0; from < all.length; from += size) await sink.traffic(all.slice(from, from + size));
        return all.length;
      });
      digests.push((await seal(objects, asked, { source })).seal.digest.hex);
    }
    expect(new Set(digests).size).toBe(1);
  });

  it('is the same world when it is made again, and by two at once', async () => {
    const asked = await importOf(objects, [HEADER, ...plainLines(2_000, (row) => row % 100)].join('\n'));
    const [first, second] = await Promise.all([seal(objects, asked), seal(objects, asked)]);
    const third = await seal(objects, asked);
    expect([second.seal, third.seal]).toEqual([first.seal, first.seal]);
  });

  it('fails where the same identity would give another world, and names the object', async () => {
    const asked = invocation();
    const source = (key: string) =>
      generated(async (sink) => {
        await sink.traffic([traffic(key, 1)]);
        return 1;
      });
    const first = await seal(objects, asked, { source: source('one') });
    await expect(seal(objects, asked, { source: source('two') })).rejects.toMatchObject({
      code: 'ENGINE_NOT_DETERMINISTIC',
      data: { key: worldKey(worldPinsOf(asked), 'transactions/part-00000.ndjson') },
    });
    expect(await objects.head(first.seal.locator)).toEqual(first.seal);
  });

  it('fails its gate when more rows are rejected than the mapping allows, and shows which', async () => {
    const file = [HEADER, ...plainLines(8), 'x,yesterday,1.00,c1,0', 'y,2024-01-01T00:00:00Z,much,c1,0'].join('\n');
    const asked = await importOf(objects, file, { ...PLAIN, rejected_share_max: 0.1 });
    const world = await seal(objects, asked);
    expect(world.content).toMatchObject({
      status: 'SEALED_FAILED',
      reason_codes: ['REJECTS_ABOVE_LIMIT'],
      counts: {
        rows_read: 10,
        rows_sealed: 8,
        rows_rejected: 2,
        rejected_by_reason: { AMOUNT_INVALID: 1, TIME_INVALID: 1 },
      },
    });
    for (const { receipt } of world.content.outputs) {
      expect(await jsonOf(objects, receipt)).toMatchObject({ status: 'FAIL', reason_codes: ['REJECTS_ABOVE_LIMIT'] });
    }
    expect(await rowsOf(objects, world, 'rejects')).toEqual([
      { row: 9, reason: 'TIME_INVALID', detail: 'the time "aaaaaaaaa" is not ISO 8601' },
      { row: 10, reason: 'AMOUNT_INVALID', detail: 'the amount "aaaa" is not a decimal number' },
    ]);
    // The twin: with exactly so many allowed the very same file passes.
    const allowed = await importOf(objects, file, { ...PLAIN, rejected_share_max: 0.2 });
    expect((await seal(objects, allowed)).content.status).toBe('SEALED_OK');
  });

  it('fails its gate when there is not one row', async () => {
    const world = await seal(objects, await importOf(objects, `${HEADER}\n`));
    expect(world.content).toMatchObject({ status: 'SEALED_FAILED', reason_codes: ['NO_ROWS'] });
    expect(world.content.outputs.map(({ output_id, rows }) => [output_id, rows])).toEqual([['transactions', 0]]);
  });

  it('rejects a payload that does not keep its schema, and its label with it', async () => {
    const label = (key: string) => ({
      key,
      ts_utc: at(9),
      fields: { transaction_id: key, is_fraud: true, effective_at_utc: at(1) },
    });
    const world = await make(async (sink) => {
      await sink.traffic([
        { ...traffic('good', 1), label: label('good') },
        { ...traffic('bad', 1, { amount_minor: -5 }), row: 77, label: label('bad') },
        { ...traffic('worse', 1, { is_fraud: true }), row: 78 },
      ]);
      return 3;
    }, 1);
    expect((await rowsOf(objects, world, 'transactions')).map(({ key }) => key)).toEqual(['good']);
    expect((await rowsOf(objects, world, 'labels')).map(({ key }) => key)).toEqual(['good']);
    expect(await rowsOf(objects, world, 'rejects')).toEqual([
      { row: 77, reason: 'SCHEMA_FAIL', detail: 'amount_minor must be >= 0' },
      { row: 78, reason: 'SCHEMA_FAIL', detail: 'the payload has a member that is not allowed: "is_fraud"' },
    ]);
  });

  it('keeps labels out of the traffic', async () => {
    const world = await seal(objects, await importOf(objects, [HEADER, ...plainLines(200)].join('\n')));
    const lines = await linesOf(objects, world, 'transactions');
    expect(lines).toHaveLength(200);
    for (const line of lines) expect(line).not.toMatch(/fraud|label/);
    expect((await rowsOf(objects, world, 'labels')).filter(({ is_fraud }) => is_fraud === true)).toHaveLength(20);
  });

  it('has outputs of other roles beside, and refuses what is no label or has two roles', async () => {
    const ring = { key: 'r1', ts_utc: at(5), fields: { members: ['a', 'b'] } };
    const world = await make(async (sink) => {
      await sink.traffic([traffic('a', 1)]);
      await sink.other('rings', 'truth_products', [ring]);
      await sink.other('profiles', 'behavioural_context', [{ ...ring, key: 'p1' }]);
      return 1;
    });
    expect(world.content.outputs.map(({ output_id, role }) => [output_id, role])).toEqual([
      ['profiles', 'behavioural_context'],
      ['rings', 'truth_products'],
      ['transactions', 'business_traffic'],
    ]);
    expect(await rowsOf(objects, world, 'rings')).toEqual([{ key: 'r1', members: ['a', 'b'], ts_utc: at(5) }]);
    const refused = (produce: (sink: RowSink) => Promise<void>) =>
      make(async (sink) => {
        await produce(sink);
        return 0;
      });
    await expect(refused((sink) => sink.labels([ring]))).rejects.toMatchObject({ code: 'VALUE_INVALID' });
    await expect(refused((sink) => sink.other('labels', 'truth_products', [ring]))).rejects.toThrow('of its own kind');
    await expect(
      refused(async (sink) => {
        await sink.other('rings', 'truth_products', [ring]);
        await sink.other('rings', 'behavioural_context', [ring]);
      }),
    ).rejects.toThrow('two roles');
  });

  it('stops when it is told to, and leaves no seal', async () => {
    const asked = await importOf(objects, [HEADER, ...plainLines(50)].join('\n'));
    const stop = new AbortController();
    stop.abort(new Error('stopped'));
    await expect(seal(objects, asked, { signal: stop.signal })).rejects.toThrow('stopped');
    expect(await keysOf(objects, asked)).toEqual([]);
  });

  it('shows one flipped byte, wherever it lies, at the next read, by the name of its object', async () => {
    const asked = await importOf(objects, [HEADER, ...plainLines(20), 'x,yesterday,1.00,c1,0'].join('\n'), {
      ...PLAIN,
      rejected_share_max: 1,
    });
    const { content, seal: sealRef } = await seal(objects, asked);
    const refs: Ref[] = [sealRef, content.parameters, asked.source];
    for (const { index, receipt } of content.outputs) {
      refs.push(index, receipt, ...(await jsonOf<OutputIndex>(objects, index)).parts.map(({ ref }) => ref));
    }
    expect(refs).toHaveLength(12);
    for (const [number, ref] of refs.entries()) {
      await harness.tamper(objectKey(ref.locator), { how: 'flip', offset: (number * 37) % ref.size });
      await expect(objects.read(ref)).rejects.toMatchObject({
        code: 'OBJECTS_DIGEST_MISMATCH',
        data: { key: ref.locator },
      });
    }
    // Nor is a tampered source ever made into a world.
    const again = { ...asked, scenario_id: freshScenario() };
    await expect(seal(objects, again)).rejects.toMatchObject({ code: 'OBJECTS_DIGEST_MISMATCH' });
    expect(await keysOf(objects, again)).toEqual([]);
  });
}
