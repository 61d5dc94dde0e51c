import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { worldPinsOf } from '../../src/modules/data-engine/data-engine.port.js';
import { PACKS } from '../../src/modules/data-engine/generate/packs.js';
import { isProbityError } from '../../src/rails/errors/probity-error.js';
import type { Seed } from '../../src/rails/pins.js';
import { objectKey } from '../../src/rails/ref.js';
import type { ObjectsHarness } from '../../src/substrate/objects/contract/kit.js';
import type { Objects } from '../../src/substrate/objects/objects.port.js';
import { eventually } from '../support/eventually.js';
import {
  CALL,
  documentedCase,
  type Engine,
  engineOn,
  freshScenario,
  HEADER,
  importOf,
  PLAIN,
  plainLines,
  upload,
} from './data-engine.kit.js';

const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'no error',
    (error: unknown) => (isProbityError(error) ? error.code : String(error)),
  );

export function serviceCases(openHarness: () => Promise<ObjectsHarness>): void {
  let harness: ObjectsHarness;
  let objects: Objects;
  let engine: Engine;

  beforeAll(async () => {
    harness = await openHarness();
    objects = await harness.open();
  });

  beforeEach(() => {
    engine = engineOn(objects);
  });

  afterEach(async () => {
    await engine.stop();
  });

  afterAll(async () => {
    await objects.close();
    await harness.close();
  });

  const sealCall = (invocation: object) => engine.service.seal({ invocation } as never, CALL);
  const previewCall = (request: object) => engine.service.preview(request as never, CALL);
  const ended = (request: object) =>
    eventually(
      () => previewCall(request),
      ({ state }) => state === 'DONE',
      30_000,
    );

  it('begins a world at the first question, and gives its seal from then on, in every process', async () => {
    const asked = await importOf(objects, [HEADER, ...plainLines(3_000)].join('\n'));
    const first = await sealCall(asked);
    expect(first).toMatchObject({ state: 'RUNNING', pins: worldPinsOf(asked), stage: 'reading' });
    const made = await engine.sealed(asked);
    expect(made).toMatchObject({ state: 'SEALED_OK', rows_done: 3_000, share_done: 1 });
    const other = engineOn(objects);
    expect(await other.service.seal({ invocation: asked }, CALL)).toEqual(made);
    await other.stop();
    expect(engine.telemetry.lines().filter(({ event }) => event === 'world_sealed')).toHaveLength(1);
  });

  it('seals the ref that stands, by whatever media type it was asked for', async () => {
    const asked = await importOf(objects, [HEADER, ...plainLines(3)].join('\n'));
    const made = await engine.sealed({ ...asked, source: { ...asked.source, media_type: 'text/csv' } });
    expect(made.state).toBe('SEALED_OK');
    const { seal } = await engine.reader.demand(made.pins.manifest_fingerprint);
    expect(seal.source).toEqual(asked.source);
  });

  it('makes two worlds at a time, and says so to the third', async () => {
    const files = await Promise.all([0, 1, 2].map(() => importOf(objects, [HEADER, ...plainLines(5_000)].join('\n'))));
    const answers = await Promise.all(files.map((asked) => codeOf(sealCall(asked))));
    expect(answers.sort()).toEqual(['ENGINE_BUSY', 'no error', 'no error']);
    for (const asked of files) {
      const state = await eventually(
        () => codeOf(engine.sealed(asked)),
        (code) => code !== 'ENGINE_BUSY',
        60_000,
      );
      expect(state).toBe('no error');
    }
  });

  it('refuses before it begins: sources that are not there, mappings and packs that cannot be', async () => {
    const asked = await importOf(objects, HEADER);
    const elsewhere = { ...asked.source, locator: objectKey('ig/quarantine/x') };
    const other = { ...asked.source, size: asked.source.size + 1 };
    const missing = { ...asked.source, locator: objectKey(`engine/sources/${'0'.repeat(64)}`) };
    for (const source of [elsewhere, other, missing]) {
      expect(await codeOf(sealCall({ ...asked, source }))).toBe('ENGINE_SOURCE_NOT_FOUND');
      expect(await codeOf(previewCall({ source, parameters: PLAIN, rows_max: 1 }))).toBe('ENGINE_SOURCE_NOT_FOUND');
    }
    const mapping = { ...PLAIN, key: 7 };
    expect(await codeOf(sealCall({ ...asked, parameters: mapping }))).toBe('ENGINE_MAPPING_INVALID');
    expect(await codeOf(previewCall({ source: asked.source, parameters: mapping, rows_max: 1 }))).toBe(
      'ENGINE_MAPPING_INVALID',
    );
    const pack = { kind: 'generate', scenario_id: freshScenario(), seed: '1', parameters: { nonsense: true } };
    expect(await codeOf(sealCall(pack))).toBe('ENGINE_PARAMETERS_INVALID');
  });

  it('says once how an attempt failed, and makes the next one when it is asked again', async () => {
    const asked = await importOf(objects, 'id,at\n1,2\n');
    for (let attempt = 0; attempt < 2; attempt += 1) {
      expect(await engine.sealed(asked)).toMatchObject({
        state: 'FAILED',
        error: { code: 'ENGINE_MAPPING_INVALID', retryable: false },
      });
    }
    expect(engine.telemetry.lines().filter(({ event }) => event === 'world_failed')).toHaveLength(2);
    expect(await engine.telemetry.metricsText()).toMatch(
      /engine_seal_failures_total\{[^}]*ENGINE_MAPPING_INVALID[^}]*\} 2/,
    );
  });

  it('stops its jobs in order, and another process makes the world', async () => {
    const asked = await importOf(objects, [HEADER, ...plainLines(20_000)].join('\n'));
    await sealCall(asked);
    await engine.stop();
    expect(await engine.service.seal({ invocation: asked }, CALL)).toMatchObject({
      state: 'FAILED',
      error: { code: 'ENGINE_STOPPED', retryable: true },
    });
    const other = engineOn(objects);
    expect((await other.sealed(asked)).state).toBe('SEALED_OK');
    await other.stop();
  });

  it('generates a world of a pack', async () => {
    const [name] = Object.keys(PACKS);
    const parameters = PACKS['small']?.parameters ?? PACKS[name ?? '']?.parameters;
    const asked = { kind: 'generate', scenario_id: freshScenario(), seed: '7' as Seed, parameters } as never;
    const made = await engine.sealed(asked);
    expect(made.state).toBe('SEALED_OK');
    const { seal } = await engine.reader.demand(made.pins.manifest_fingerprint);
    expect(seal.outputs.map(({ output_id }) => output_id)).toEqual(expect.arrayContaining(['labels', 'transactions']));
  });

  it('previews what an import would seal: rows, every problem, columns', async () => {
    const { csv, mapping } = documentedCase();
    const preview = await ended({ source: await upload(objects, csv), parameters: mapping, rows_max: 2 });
    expect(preview).toMatchObject({
      state: 'DONE',
      rows_read: 5,
      rows_mapped: 3,
      columns: ['TransaktionsNr', 'Zeit', 'Kunde', 'Terminal', 'Betrag', 'Betrug'],
    });
    expect(preview.rows.map(({ row, traffic, label }) => [row, traffic.key, label?.is_fraud])).toEqual([
      [1, 'A-1001', false],
      [2, 'A-1002', false],
    ]);
    expect(preview.problems.map(({ reason, count, examples }) => [reason, count, examples[0]?.row]).sort()).toEqual([
      ['AMOUNT_INVALID', 1, 5],
      ['TIME_NONEXISTENT', 1, 3],
    ]);
  });

  it('previews a file that lacks columns by naming them, and keeps five examples of a problem', async () => {
    const source = await upload(objects, `id,at,amount\n${'1,x,1\n'.repeat(9)}`);
    const lacking = await ended({ source, parameters: PLAIN, rows_max: 5 });
    expect(lacking).toMatchObject({ rows_mapped: 0, columns: ['id', 'at', 'amount'] });
    expect(lacking.problems[0]).toMatchObject({ reason: 'COLUMN_MISSING', count: 2 });
    const { label: _, ...unlabelled } = PLAIN;
    const parameters = { ...unlabelled, fields: { customer_id: 'id' } };
    const wrong = await ended({ source, parameters, rows_max: 5 });
    expect(wrong.problems.map(({ reason, count, examples }) => [reason, count, examples.length])).toEqual([
      ['TIME_INVALID', 9, 5],
    ]);
  });

  it('tells with what a preview ended, and tries again at the next question', async () => {
    const request = { source: await upload(objects, ''), parameters: PLAIN, rows_max: 5 };
    for (let attempt = 0; attempt < 2; attempt += 1)
      expect(await codeOf(ended(request))).toBe('ENGINE_SOURCE_UNREADABLE');
  });

  it('shows rows page by page; of a world that failed its gate only what was rejected', async () => {
    const file = [HEADER, ...plainLines(25), 'x,yesterday,1.00,c1,0'].join('\n');
    const good = await engine.sealed(await importOf(objects, file, { ...PLAIN, rejected_share_max: 1 }));
    const bad = await engine.sealed(await importOf(objects, file));
    expect([good.state, bad.state]).toEqual(['SEALED_OK', 'SEALED_FAILED']);
    const fingerprint = good.pins.manifest_fingerprint as never;
    const first = await engine.reader.rows(fingerprint, 'labels', -1, 10);
    const last = await engine.reader.rows(fingerprint, 'labels', 19, 10);
    expect([first.rows.map(({ number }) => number), first.next]).toEqual([[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 9]);
    expect([last.rows.map(({ row }) => row['key']), last.next]).toEqual([
      ['t20', 't21', 't22', 't23', 't24'],
      undefined,
    ]);
    const failed = bad.pins.manifest_fingerprint as never;
    expect(await codeOf(engine.reader.rows(failed, 'transactions', -1, 10))).toBe('GATE_NOT_PASSED');
    expect(await codeOf(engine.reader.rows(failed, 'labels', -1, 10))).toBe('GATE_NOT_PASSED');
    expect((await engine.reader.rows(failed, 'rejects', -1, 10)).rows).toHaveLength(1);
    expect(await codeOf(engine.reader.rows(failed, 'nothing', -1, 10))).toBe('ENGINE_OUTPUT_NOT_FOUND');
    expect(await codeOf(engine.reader.demand('f'.repeat(64) as never))).toBe('ENGINE_WORLD_NOT_FOUND');
  });

  it('keeps a file once, whatever it is called', async () => {
    const bytes = [HEADER, ...plainLines(5)].join('\n');
    const [one, two] = [await upload(objects, bytes), await upload(objects, bytes)];
    expect(two).toEqual(one);
    expect(one.locator).toBe(`engine/sources/${one.digest.hex}`);
  });
}
