import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { boot, type Running } from '../../src/app/boot.js';
import { openDataFolder } from '../../src/app/data-folder.js';
import { loadProfile } from '../../src/app/profile.js';
import { policyKindsOf } from '../../src/app/unit-table.js';
import { UNITS } from '../../src/app/units.js';
import type { Receipt, Reconciliation } from '../../src/modules/ingestion-gate/ingestion-gate.port.js';
import { TRAFFIC_TOPIC } from '../../src/modules/ingestion-gate/ingestion-gate.port.js';
import { asTopicName } from '../../src/rails/eb-ref.js';
import type { RunPins } from '../../src/rails/pins.js';
import { Captured, cli } from '../support/cli.js';
import { scratchDataFolder } from '../support/data-folder.js';
import { eventually } from '../support/eventually.js';
import { Http } from '../support/http.js';
import { ScratchProfile } from '../support/profiles.js';
import { putLiveRun, transactionEvent, transactionPayload } from '../support/run-facts.js';
import { DoorClient } from './ingestion-http.kit.js';

const NDJSON = { 'content-type': 'application/x-ndjson' };
const range = (count: number, from = 0): readonly number[] => Array.from({ length: count }, (_, at) => from + at);

describe('the doors before the gate itself', () => {
  const folder = scratchDataFolder('doors-gate');
  const profile = new ScratchProfile();
  let running: Running;
  let operator: Http;
  let door: DoorClient;
  let pins: RunPins;

  beforeAll(async () => {
    const admission = join(profile.folder, 'policy', 'ig.admission.yaml');
    profile.edit(admission, 'principals: [SYSTEM::edge]', 'principals: [HUMAN::operator]');
    expect((await cli(['policy', 'seal', admission])).code).toBe(0);
    running = await boot({
      table: UNITS,
      selected: UNITS.units.filter(({ role }) => role === 'ig'),
      profile: loadProfile(profile.folder, policyKindsOf(UNITS)),
      folder: openDataFolder(folder),
      port: 0,
      logs: new Captured(),
    });
    pins = await putLiveRun(running.parts.objects, { key: 'doors', scenario: 'shop' });
    const key = readFileSync(join(folder, 'keys', 'operator.key'), 'utf8').trim();
    operator = new Http(running.url, key);
    door = new DoorClient(running.url, key);
  });

  afterAll(async () => {
    await running.stop();
    profile.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Records on the traffic topic. */
  async function onTopic(): Promise<number> {
    const marks = await running.parts.bus.marks(asTopicName(TRAFFIC_TOPIC));
    return marks.reduce((sum, { highWater }) => sum + Number(highWater), 0);
  }

  it('admit an event once and find its receipt by every id', async () => {
    const before = await onTopic();
    const first = await door.post('/v1/events', transactionEvent(pins, 1));
    expect(first.status).toBe(201);
    expect(first.body).toMatchObject({ decision: 'ADMIT', pins, eb_ref: { topic: TRAFFIC_TOPIC } });
    const again = await door.post('/v1/events', transactionEvent(pins, 1));
    const { receipt_id, eb_ref } = first.body as Receipt;
    expect([again.status, again.headers['idempotency-replayed']]).toEqual([200, 'true']);
    expect(again.body).toMatchObject({ decision: 'DUPLICATE', original_receipt_id: receipt_id, eb_ref });
    const other = await door.post(
      '/v1/events',
      transactionEvent(pins, 1, { payload: transactionPayload(1, { amount_minor: 1 }) }),
    );
    expect(other.body).toMatchObject({ status: 409, code: 'IG_PAYLOAD_HASH_MISMATCH' });
    expect(await onTopic()).toBe(before + 1);
    for (const path of [
      `receipts/${receipt_id}`,
      'receipts?event_id=e-1',
      `receipts?event_id=e-1&run_id=${pins.run_id}`,
    ]) {
      expect((await operator.get(`/v1/${path}`)).text).toContain(receipt_id);
    }
    const duplicateId = (again.body as Receipt).receipt_id;
    expect((await operator.get(`/v1/receipts/${duplicateId}`)).body).toMatchObject({ decision: 'DUPLICATE' });
  });

  it('take a long body, and the same body again without a second record', async () => {
    const before = await onTopic();
    const text = range(3_000, 1_000)
      .map((n) => transactionEvent(pins, n))
      .join('\n');
    const first = await door.post('/v1/events/batch?receipts=short', gzipSync(text), {
      ...NDJSON,
      'content-encoding': 'gzip',
    });
    expect(first.lines.map((line) => (line as Receipt).event_id)).toEqual(range(3_000, 1_000).map((n) => `e-${n}`));
    expect(first.lines.every((line) => (line as Receipt).decision === 'ADMIT')).toBe(true);
    const again = await door.post('/v1/events/batch', `[${text.replaceAll('\n', ',')}]`);
    expect((again.body as Receipt[]).every(({ decision }) => decision === 'DUPLICATE')).toBe(true);
    expect(await onTopic()).toBe(before + 3_000);
  });

  it('show what was refused, and let it in again once it is right', async () => {
    const broken = transactionEvent(pins, 5, { payload: transactionPayload(5, { currency: 'euro' }) });
    const refused = await door.post('/v1/events', broken);
    expect(refused.body).toMatchObject({ status: 422, code: 'IG_SCHEMA_FAIL' });
    const { receipt_id: id } = (refused.body as { readonly receipt: Receipt }).receipt;
    const list = await operator.get(`/v1/quarantine?reason=SCHEMA_FAIL&run_id=${pins.run_id}&limit=1`);
    expect(list.body).toMatchObject({ entries: [{ quarantine_id: id, receipt: { event_id: 'e-5' } }] });
    const evidence = await operator.get(`/v1/quarantine/${id}/evidence?purpose=test`);
    expect(evidence.body).toMatchObject({ text: broken, size: broken.length });

    const released = await operator.post(`/v1/quarantine/${id}/release`, { reason: 'has the policy changed?' });
    expect(released.body).toMatchObject({ code: 'IG_SCHEMA_FAIL', receipt: { supersedes_ref: id } });
    const correction = JSON.parse(transactionEvent(pins, 6, { parent_event_id: 'e-5' })) as object;
    const corrected = await operator.post(`/v1/quarantine/${id}/release`, { reason: 'a typo', correction });
    expect(corrected.status).toBe(201);
    expect(corrected.body).toMatchObject({ decision: 'ADMIT', supersedes_ref: id });
    expect((await operator.get(`/v1/quarantine/${id}`)).body).toMatchObject({
      superseded_by: (corrected.body as Receipt).receipt_id,
    });
  });

  it('keep only the digest of what is too large, and say so', async () => {
    const refused = await door.post('/v1/events', `{"x":"${'x'.repeat(2_000_000)}"}`);
    expect(refused.body).toMatchObject({ status: 413, code: 'IG_PAYLOAD_TOO_LARGE' });
    const { receipt_id: id } = (refused.body as { readonly receipt: Receipt }).receipt;
    expect((await operator.get(`/v1/quarantine/${id}/evidence?purpose=test`)).body).toMatchObject({
      status: 409,
      code: 'IG_EVIDENCE_NOT_KEPT',
    });
  });

  it('store nothing for whoever is not known', async () => {
    const database = running.parts.database.forSchema('ig' as never);
    const count = async (): Promise<unknown> => {
      const tables = await database.query<{ readonly table_name: string }>(
        `select table_name from information_schema.tables where table_schema = current_schema() order by 1`,
      );
      const rows: unknown[] = [];
      for (const { table_name } of tables.rows) {
        const counted = await database.query<{ readonly rows: string }>(
          `select count(*)::text as rows from "${table_name}"`,
        );
        rows.push([table_name, counted.rows[0]?.rows]);
      }
      const objects = (await running.parts.objects.list('ig/')).objects.map(({ key }) => key);
      return { rows, objects, records: await onTopic() };
    };
    const before = await count();
    expect(JSON.stringify(before)).toContain('quarantine');
    for (const stranger of [
      new DoorClient(running.url),
      new DoorClient(running.url, `pk_operator_${'A'.repeat(43)}`),
    ]) {
      for (const path of ['/v1/events', '/v1/events/batch']) {
        expect([401, 403]).toContain((await stranger.post(path, `[${transactionEvent(pins, 7)}]`)).status);
      }
    }
    expect(await count()).toEqual(before);
  });

  it('find ledger and bus in agreement', async () => {
    const { body } = await eventually(
      () => operator.get(`/v1/runs/${pins.run_id}/reconciliation`),
      (answer) => (answer.body as Reconciliation).state !== 'RUNNING',
    );
    expect(body).toMatchObject({ state: 'DONE', reconciled: true, admitted: await onTopic(), on_bus: await onTopic() });
  });
});
