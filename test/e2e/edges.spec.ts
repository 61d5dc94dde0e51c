import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { boot, type Running } from '../../src/app/boot.js';
import { openDataFolder } from '../../src/app/data-folder.js';
import { loadProfile } from '../../src/app/profile.js';
import { policyKindsOf } from '../../src/app/unit-table.js';
import { UNITS } from '../../src/app/units.js';
import { TRAFFIC_TOPIC } from '../../src/modules/ingestion-gate/ingestion-gate.port.js';
import { type EdgeResult } from '../../src/modules/producer-edges/edge.result.js';
import { edgeEventIdOf } from '../../src/modules/producer-edges/producer-edges.port.js';
import { asOffset, asTopicName } from '../../src/rails/eb-ref.js';
import { type RunPins } from '../../src/rails/pins.js';
import { Captured } from '../support/cli.js';
import { scratchDataFolder } from '../support/data-folder.js';
import { Http } from '../support/http.js';
import { makeReady, putLiveRun } from '../support/run-facts.js';

const PAYMENT = {
  transaction_id: 't-1',
  occurred_at: '2026-03-01T13:00:00+01:00',
  amount: '12.30',
  currency: 'EUR',
  card_id: 'card-1',
};

describe('payments through an edge and the gate, as the shipped local profile has them', () => {
  const folder = scratchDataFolder('e2e edges');
  let running: Running;
  let operator: Http;
  let pins: RunPins;

  beforeAll(async () => {
    running = await boot({
      table: UNITS,
      selected: UNITS.units.filter(({ role }) => role === 'ig' || role === 'edge'),
      profile: loadProfile('local', policyKindsOf(UNITS)),
      folder: openDataFolder(folder),
      port: 0,
      logs: new Captured(),
    });
    operator = new Http(running.url, readFileSync(join(folder, 'keys', 'operator.key'), 'utf8').trim());
  });

  afterAll(async () => {
    await running.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('says what to do where the live run is not there, and waits where it is not ready', async () => {
    const unknown = await operator.post('/v1/transactions', PAYMENT);
    expect(unknown.body).toMatchObject({ status: 422, code: 'IG_UNKNOWN_RUN', retryable: false });
    expect(JSON.stringify(unknown.body)).toContain('probity run start --live live');
    pins = await putLiveRun(running.parts.objects, { key: 'live', scenario: 'live', state: 'REQUESTED' });
    const early = await operator.post('/v1/transactions', PAYMENT);
    expect(early.body).toMatchObject({ status: 409, code: 'IG_RUN_NOT_READY', retryable: true });
    await makeReady(running.parts.objects, pins);
  });

  it('admits a payment once, with a receipt, and stands on the bus under the pins of the run', async () => {
    const first = await operator.post('/v1/transactions', PAYMENT);
    expect([first.status, first.body]).toMatchObject([
      201,
      { decision: 'ADMIT', event_id: edgeEventIdOf('payments-api', 't-1') },
    ]);
    const { receipt_id, eb_ref } = first.body as EdgeResult;
    const again = await operator.post('/v1/transactions', PAYMENT);
    expect([again.status, again.body]).toMatchObject([200, { decision: 'DUPLICATE', eb_ref }]);

    const topic = asTopicName(TRAFFIC_TOPIC);
    const reader = await running.parts.bus.openReader([
      { topic, partition: eb_ref?.partition ?? -1, offset: asOffset(eb_ref?.offset ?? -1) },
    ]);
    const [batch] = await reader.poll({ recordsMax: 10, waitMs: 5_000 });
    await reader.close();
    expect(batch?.records).toHaveLength(1);
    expect(JSON.parse(Buffer.from(batch?.records[0]?.value ?? []).toString('utf8'))).toMatchObject({
      ...pins,
      event_type: 'transaction',
      producer: 'payments-api',
      ts_utc: '2026-03-01T12:00:00.000000Z',
      payload: { transaction_id: 't-1', amount_minor: 1230, currency: 'EUR', card_id: 'card-1' },
    });

    const receipt = await operator.get(`/v1/receipts/${receipt_id}`);
    expect([receipt.status, receipt.body]).toMatchObject([
      200,
      { decision: 'ADMIT', principal: 'SYSTEM::edge', producer: 'payments-api', pins, eb_ref },
    ]);
  });

  it('lets the first stand where another payment comes under its id, and keeps evidence of what is wrong', async () => {
    const other = await operator.post('/v1/transactions', { ...PAYMENT, amount: '12.31' });
    expect(other.body).toMatchObject({ status: 409, code: 'IG_PAYLOAD_HASH_MISMATCH' });
    const list = await operator.post('/v1/transactions', [
      { ...PAYMENT, transaction_id: 't-2' },
      { ...PAYMENT, transaction_id: 't-3', mcc: 'grocery' },
      { ...PAYMENT, transaction_id: 't-4', amount: 1 },
      { ...PAYMENT, transaction_id: 't-5', card_id: undefined },
    ]);
    const results = list.body as EdgeResult[];
    expect(results).toMatchObject([
      { decision: 'ADMIT' },
      { decision: 'QUARANTINE', code: 'IG_SCHEMA_FAIL', retryable: false },
      { decision: 'REFUSED', code: 'EDGE_MAPPING_FAILED', at: '/amount' },
      { decision: 'QUARANTINE', code: 'IG_SCHEMA_FAIL' },
    ]);
    expect(results[1]?.detail).toContain('/mcc');
    const receipt = await operator.get(`/v1/receipts/${results[1]?.receipt_id}`);
    expect(receipt.body).toMatchObject({ decision: 'QUARANTINE', quarantine: { stage: 'payload' } });
  });

  it('takes CloudEvents by the same door', async () => {
    const { occurred_at: time, ...data } = { ...PAYMENT, transaction_id: 't-9' };
    const event = { specversion: '1.0', id: '9', source: '/till', type: 'transaction', time, data };
    const send = (): ReturnType<Http['raw']> =>
      operator.raw('/v1/cloudevents', JSON.stringify(event), 'application/cloudevents+json');
    expect((await send()).body).toMatchObject({ decision: 'ADMIT' });
    expect((await send()).body).toMatchObject({ decision: 'DUPLICATE' });
  });
});
