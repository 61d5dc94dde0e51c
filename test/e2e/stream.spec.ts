import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { canonicalJson } from '../../src/rails/canonical-json.js';
import { asTopicName } from '../../src/rails/eb-ref.js';
import type { RunPins } from '../../src/rails/pins.js';
import { boot, type Running } from '../../src/app/boot.js';
import { openDataFolder } from '../../src/app/data-folder.js';
import { loadProfile } from '../../src/app/profile.js';
import { policyKindsOf } from '../../src/app/unit-table.js';
import { UNITS } from '../../src/app/units.js';
import type { StreamStatus } from '../../src/modules/world-stream-producer/world-stream-producer.port.js';
import { type MadeRun, putRun, rowsOf } from '../contract/world-stream-producer.kit.js';
import { Captured } from '../support/cli.js';
import { scratchDataFolder } from '../support/data-folder.js';
import { eventually } from '../support/eventually.js';
import { Http } from '../support/http.js';
import { transactionPayload } from '../support/run-facts.js';

const ROWS = 600;
const CONTROL = asTopicName('fp.bus.control.v1');

/** The producer in the program, before the real gate: its routes, its consumer, and what a restart does. */
describe('streams over HTTP', () => {
  const data = scratchDataFolder('stream');
  let running: Running;
  let operator: Http;

  async function start(): Promise<void> {
    running = await boot({
      table: UNITS,
      selected: UNITS.units.filter(({ role }) => role === 'ig' || role === 'wsp'),
      profile: loadProfile(join(process.cwd(), 'profiles', 'local'), policyKindsOf(UNITS)),
      folder: openDataFolder(data),
      port: 0,
      logs: new Captured(),
    });
    operator = new Http(running.url, readFileSync(join(data, 'keys', 'operator.key'), 'utf8').trim());
  }

  beforeAll(start, 60_000);
  afterAll(async () => {
    await running.stop();
    rmSync(data, { recursive: true, force: true });
  });

  const make = (key: string, state: 'READY' | 'REQUESTED' = 'READY'): Promise<MadeRun> => {
    const rows = rowsOf(ROWS).map((row, number) => ({
      ...row,
      payload: transactionPayload(number, { source: { output_id: 'transactions', row: number } }),
    }));
    return putRun(running.parts.objects, { key, state, outputs: [{ output_id: 'transactions', rows }], partRows: 100 });
  };
  const path = (run: { readonly run_id: string }, rest = ''): string => `/v1/runs/${run.run_id}/stream${rest}`;
  const completed = async (run: MadeRun, pass = 1): Promise<StreamStatus> =>
    await eventually(
      async () => (await operator.get(path(run))).body as StreamStatus,
      (status) => (status.pass === pass && status.state === 'COMPLETED') || status.state === 'FAILED',
      30_000,
    );

  it('admits a run once; streamed again it is all duplicates', async () => {
    const run = await make('e2e-once');
    const started = await operator.post(path(run), {});
    expect(started.status).toBe(202);
    expect(started.body).toMatchObject({ run_id: run.run_id, pins: run.pins, pass: 1, rows_total: ROWS });
    expect(await completed(run)).toMatchObject({ state: 'COMPLETED', admitted: ROWS, duplicate: 0, quarantined: 0 });
    await operator.post(path(run), { again: true, pace: { mode: 'speed_up', factor: 1_000_000 } });
    expect(await completed(run, 2)).toMatchObject({ state: 'COMPLETED', admitted: 0, duplicate: ROWS });
    const metrics = (await new Http(running.url).get('/metrics')).text;
    expect(metrics).toMatch(new RegExp(`wsp_rows_total\\{[^}]*outcome="ADMIT"[^}]*\\} ${ROWS}\\b`));
  });

  it('pauses, and goes on', async () => {
    const run = await make('e2e-pause');
    await operator.post(path(run), { pace: { mode: 'speed_up', factor: 1 } });
    const paused = await operator.post(path(run, '/pause'), {});
    expect(paused.status).toBe(200);
    expect(paused.body).toMatchObject({ state: 'PAUSED', reason: { code: 'PAUSE_ASKED_FOR' } });
    await operator.post(path(run), { pace: { mode: 'as_fast_as_accepted' } });
    expect(await completed(run)).toMatchObject({ state: 'COMPLETED', sent: ROWS });
  });

  it('is started by READY from the bus, where it was asked for before', async () => {
    const run = await make('e2e-ready', 'REQUESTED');
    const early = await operator.raw(path(run), '', 'application/json').then(({ status }) => status);
    // An empty body says that it is JSON and is none; without a body the stream is asked for as it is by default.
    expect(early).toBe(400);
    expect((await operator.post(path(run), {})).body).toMatchObject({ code: 'WSP_RUN_NOT_READY', retryable: true });
    await run.becomeReady();
    const producer = await running.parts.bus.openProducer({ name: 'sr.test' });
    const { message_id, facts_view } = run.ready;
    const pins: RunPins = run.pins;
    const envelope = {
      ...pins,
      event_id: message_id,
      event_type: 'sr.ready',
      schema_version: 'v1',
      ts_utc: '2026-01-01T00:00:00.000000Z',
      producer: 'sr',
      payload: { message_id, facts_view },
    };
    const record = { key: pins.run_id, value: Buffer.from(canonicalJson(envelope)), headers: {} };
    await producer.append([{ topic: CONTROL, partition: 0, records: [record, record] }]);
    await producer.close();
    const status = await eventually(
      async () => (await operator.get(path(run))).body as StreamStatus,
      ({ state }) => state === 'COMPLETED',
      30_000,
    );
    expect(status).toMatchObject({ pass: 1, admitted: ROWS, duplicate: 0 });
  });

  it('refuses what it cannot know, and strangers', async () => {
    const stranger = { run_id: 'ab'.repeat(16) };
    expect((await operator.get(path(stranger))).body).toMatchObject({ status: 404, code: 'WSP_STREAM_NOT_FOUND' });
    expect((await operator.post(path(stranger), {})).body).toMatchObject({ status: 404, code: 'SR_RUN_NOT_FOUND' });
    expect((await operator.get(path({ run_id: 'x' }))).body).toMatchObject({ code: 'HTTP_REQUEST_INVALID' });
    for (const body of [{ pace: { mode: 'slow' } }, { again: 'yes' }, { more: 1 }, [], 1])
      expect((await operator.post(path(stranger), body)).body).toMatchObject({
        status: 400,
        code: 'HTTP_REQUEST_INVALID',
      });
    const anybody = new Http(running.url);
    expect((await anybody.post(path(stranger), {})).status).toBe(403);
    expect((await anybody.get(path(stranger))).status).toBe(403);
  });

  it('goes on by itself after a restart in the middle', async () => {
    const run = await make('e2e-restart');
    // 600 s of domain time: at this factor it takes 20 s, and is under way when the process stops.
    await operator.post(path(run), { pace: { mode: 'speed_up', factor: 30 } });
    await eventually(
      async () => (await operator.get(path(run))).body as StreamStatus,
      ({ sent }) => sent > 10,
      20_000,
    );
    expect(await running.stop()).toBe('in order');
    await start();
    const resumed = (await operator.get(path(run))).body as StreamStatus;
    expect(resumed.sent).toBeGreaterThan(0);
    await operator.post(path(run), { pace: { mode: 'as_fast_as_accepted' } });
    const status = await completed(run);
    expect(status).toMatchObject({ state: 'COMPLETED', pass: 1, sent: ROWS, quarantined: 0 });
    expect(status.admitted + status.duplicate).toBe(ROWS);
  });
});
