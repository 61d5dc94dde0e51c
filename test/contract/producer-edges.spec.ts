import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { boot, type Running } from '../../src/app/boot.js';
import { openDataFolder } from '../../src/app/data-folder.js';
import { loadProfile } from '../../src/app/profile.js';
import { defineUnits, policyKindsOf } from '../../src/app/unit-table.js';
import { UNITS } from '../../src/app/units.js';
import { type EdgesReport } from '../../src/modules/producer-edges/edges-status.js';
import { type EdgeResult, EdgeResultSchema } from '../../src/modules/producer-edges/edge.result.js';
import { ProducerEdgesModule } from '../../src/modules/producer-edges/producer-edges.module.js';
import { EDGES_POLICY, type EdgesPolicy } from '../../src/modules/producer-edges/producer-edges.policy.js';
import { ProducerEdgesStore } from '../../src/modules/producer-edges/producer-edges.store.js';
import { cloudEventIdOf } from '../../src/modules/producer-edges/cloud-event.core.js';
import { edgeEventIdOf } from '../../src/modules/producer-edges/producer-edges.port.js';
import { INGESTION_GATE_CONTRACT, IngestionGatePort } from '../../src/modules/ingestion-gate/ingestion-gate.port.js';
import { type JsonValue } from '../../src/rails/canonical-json.js';
import { digestText } from '../../src/rails/digest.js';
import { asOffset, asTopicName } from '../../src/rails/eb-ref.js';
import { ProbityError } from '../../src/rails/errors/probity-error.js';
import { type RunPins } from '../../src/rails/pins.js';
import { sealPolicy } from '../../src/rails/policy-rev.js';
import { fromEpochMs } from '../../src/rails/time.js';
import { validatorOf } from '../../src/rails/validator.js';
import { Captured } from '../support/cli.js';
import { scratchDataFolder } from '../support/data-folder.js';
import { eventually } from '../support/eventually.js';
import { FakeGate, FakeGateModule } from '../support/fake-gate.js';
import { Http } from '../support/http.js';
import { ScratchProfile } from '../support/profiles.js';
import { putLiveRun, putSealedRun } from '../support/run-facts.js';

const TABLE = defineUnits(
  {},
  {
    ig: {
      unit: 'fake-gate',
      kind: 'service',
      why: 'Stands in for the gate.',
      module: FakeGateModule,
      port: { token: IngestionGatePort, service: FakeGate, contract: INGESTION_GATE_CONTRACT },
      calls: [],
      produces: [],
      prefixes: [],
      policies: policyKindsOf(UNITS),
      instances: 'many',
    },
    edge: {
      unit: 'producer-edges',
      kind: 'service',
      why: 'Under test.',
      module: ProducerEdgesModule,
      calls: ['ig'],
      produces: [],
      schema: 'edge',
      prefixes: [],
      policies: [EDGES_POLICY],
      instances: 'many',
    },
  },
);

const TOPIC = 'shop.payments';
const POLICY: EdgesPolicy = {
  http: [
    { producer: 'payments-api', principals: ['HUMAN::operator'], run_equivalence_key: 'live' },
    { producer: 'early', principals: ['SYSTEM::wsp'], run_equivalence_key: 'not yet' },
  ],
  sources: [
    {
      producer: 'till',
      topic: TOPIC,
      group: 'till',
      start: 'earliest',
      run_equivalence_key: 'live',
      mapping: {
        transaction_id: 'id',
        occurred_at: '/at/time',
        amount: 'sum',
        currency: { constant: 'EUR' },
        account_id: 'payer',
      },
    },
    { producer: 'till', topic: TOPIC, group: 'till-late', start: 'latest', run_equivalence_key: 'later' },
  ],
};

const PAYMENT = {
  transaction_id: 't-1',
  occurred_at: '2026-03-01T13:00:00+01:00',
  amount: '12.30',
  currency: 'EUR',
  card_id: 'card-1',
};
const results = validatorOf(EdgeResultSchema, 'the result');

describe('the edges of producers', () => {
  const folder = scratchDataFolder('edges');
  const profile = new ScratchProfile();
  const logs = new Captured();
  let running: Running;
  let gate: FakeGate;
  let operator: Http;
  let pins: RunPins;

  const keyed = (name: string): Http =>
    new Http(running.url, readFileSync(join(folder, 'keys', `${name}.key`), 'utf8').trim());
  const send = (name: string, body: Buffer<ArrayBuffer>, headers: Record<string, string>): Promise<Response> =>
    fetch(`${running.url}/v1/${name}`, {
      method: 'POST',
      body,
      headers: {
        authorization: `Bearer ${readFileSync(join(folder, 'keys', 'operator.key'), 'utf8').trim()}`,
        ...headers,
      },
    });

  beforeAll(async () => {
    const { policy_rev, body } = sealPolicy('edge.producers', 1, POLICY as unknown as JsonValue);
    writeFileSync(join(profile.folder, 'policy', 'edge.producers.yaml'), JSON.stringify({ ...policy_rev, body }));
    running = await boot({
      table: TABLE,
      selected: TABLE.units,
      profile: loadProfile(profile.folder, policyKindsOf(TABLE)),
      folder: openDataFolder(folder),
      port: 0,
      logs,
    });
    gate = running.app.get(FakeGate, { strict: false });
    operator = keyed('operator');
    pins = await putLiveRun(running.parts.objects, { key: 'live', scenario: 'live' });
  });

  afterAll(async () => {
    await running.stop();
    profile.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  beforeEach(() => {
    gate.admitted.clear();
    gate.calls.length = 0;
    gate.refuse = undefined;
    gate.notReady = false;
  });

  it('takes one payment: admitted, recognised when it comes again, refused when it says something else', async () => {
    const traceId = '0af7651916cd43dd8448eb211c80319c';
    const first = await operator.post('/v1/transactions', PAYMENT, {
      traceparent: `00-${traceId}-b7ad6b7169203331-01`,
    });
    const event_id = edgeEventIdOf('payments-api', 't-1');
    expect([first.status, first.body]).toMatchObject([201, { decision: 'ADMIT', event_id, transaction_id: 't-1' }]);
    results.demand(first.body);
    expect(gate.admitted.get(event_id)).toMatchObject({
      ...pins,
      producer: 'payments-api',
      ts_utc: '2026-03-01T12:00:00.000000Z',
      trace_id: traceId,
      payload: { amount_minor: 1230 },
    });
    expect(gate.callers).toEqual(new Set(['SYSTEM::edge']));

    const again = await operator.post('/v1/transactions', { ...PAYMENT, amount: undefined, amount_minor: 1230 });
    expect([again.status, again.body]).toMatchObject([200, { decision: 'DUPLICATE', event_id }]);

    const other = await operator.post('/v1/transactions', { ...PAYMENT, amount: '12.31' });
    expect(other.headers.get('content-type')).toContain('application/problem+json');
    expect(other.body).toMatchObject({
      status: 409,
      code: 'IG_PAYLOAD_HASH_MISMATCH',
      data: { event_id, transaction_id: 't-1', receipt_id: expect.stringMatching(/^[0-9a-f]{64}$/) as unknown },
    });
  });

  it('says what is wrong with a payment, and where', async () => {
    const bare = await operator.post(
      '/v1/transactions',
      { ...PAYMENT, transaction_id: undefined },
      { 'idempotency-key': 'k' },
    );
    expect(bare.body).toMatchObject({ status: 422, code: 'EDGE_MAPPING_FAILED', data: { at: '/transaction_id' } });
    expect(JSON.stringify(bare.body)).toContain('whatever header comes with it');
    const exact = await operator.raw(
      '/v1/transactions',
      '{"transaction_id":"x","occurred_at":"2026-03-01T00:00:00Z","amount":12.3,"currency":"EUR"}',
    );
    expect(JSON.stringify(exact.body)).toContain('/amount must be a text in quotes');
    const schema = await operator.post('/v1/transactions', { ...PAYMENT, mcc: 'x' });
    expect(schema.body).toMatchObject({ status: 422, code: 'IG_SCHEMA_FAIL' });
    expect((await operator.raw('/v1/transactions', '{"a":')).body).toMatchObject({
      status: 400,
      code: 'HTTP_BODY_INVALID',
    });
    expect(gate.admitted.size).toBe(0);
  });

  it('answers a list one by one, and an NDJSON body in NDJSON, gzip and all', async () => {
    const list = [
      PAYMENT,
      { ...PAYMENT, transaction_id: 't-2', amount: 12.3 },
      { ...PAYMENT, mcc: 'x', transaction_id: 't-3' },
      PAYMENT,
    ];
    const expected = [
      { decision: 'ADMIT', transaction_id: 't-1' },
      { decision: 'REFUSED', transaction_id: 't-2', code: 'EDGE_MAPPING_FAILED', at: '/amount' },
      { decision: 'QUARANTINE', transaction_id: 't-3', code: 'IG_SCHEMA_FAIL' },
      { decision: 'DUPLICATE', transaction_id: 't-1' },
    ];
    const array = await operator.post('/v1/transactions', list);
    expect([array.status, array.body]).toMatchObject([200, expected]);
    for (const each of array.body as unknown[]) results.demand(each);
    expect(gate.calls).toEqual([3]);

    gate.admitted.clear();
    const lines = gzipSync(`${list.map((each) => JSON.stringify(each)).join('\n')}\n{"broken\n`);
    const answer = await send('transactions', lines, {
      'content-type': 'application/x-ndjson',
      'content-encoding': 'gzip',
    });
    expect(answer.headers.get('content-type')).toContain('application/x-ndjson');
    const parsed = (await answer.text())
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);
    expect(parsed).toMatchObject([...expected, { decision: 'REFUSED', code: 'HTTP_BODY_INVALID' }]);
  });

  it('sends thousands in a few calls, in their order', async () => {
    const list = Array.from({ length: 1_201 }, (_, at) => ({ ...PAYMENT, transaction_id: `m-${at}` }));
    const answer = (await operator.post('/v1/transactions', list)).body as EdgeResult[];
    expect(answer.map(({ transaction_id }) => transaction_id)).toEqual(
      list.map(({ transaction_id }) => transaction_id),
    );
    expect(gate.calls).toEqual([500, 500, 201]);
    expect([...gate.admitted.keys()]).toEqual(answer.map(({ event_id }) => event_id));
  });

  it('takes what was complete when a body breaks off, and says where it did', async () => {
    const answer = await operator.raw('/v1/transactions', `[${JSON.stringify(PAYMENT)}, {"transaction_id"`);
    expect([answer.status, answer.body]).toMatchObject([
      200,
      [{ decision: 'ADMIT' }, { decision: 'REFUSED', code: 'HTTP_BODY_INVALID' }],
    ]);
  });

  it('passes on that the gate has no room, with the time to wait', async () => {
    gate.refuse = new ProbityError('IG_RATE_LIMITED', 'no room', { data: { retry_after_ms: 1_500 } });
    const refused = await operator.post('/v1/transactions', PAYMENT);
    expect([refused.status, refused.body, refused.headers.get('retry-after')]).toMatchObject([
      429,
      { code: 'IG_RATE_LIMITED', retryable: true },
      '2',
    ]);
  });

  it('lets in whom the policy lists, into a run that is there', async () => {
    expect((await new Http(running.url).post('/v1/transactions', PAYMENT)).body).toMatchObject({
      code: 'AUTHZ_DENIED',
    });
    const wsp = keyed('wsp');
    expect((await wsp.post('/v1/transactions', PAYMENT)).body).toMatchObject({ code: 'AUTHZ_DENIED' });
    expect(gate.calls).toEqual([]);
  });

  it('takes CloudEvents: structured, in batches and binary', async () => {
    const { occurred_at: time, ...data } = PAYMENT;
    const event = { specversion: '1.0', id: '1', source: '/shop', type: 'com.probity.transaction.v1', time, data };
    const event_id = cloudEventIdOf('payments-api', '/shop', '1');
    const structured = await operator.raw('/v1/cloudevents', JSON.stringify(event), 'application/cloudevents+json');
    expect([structured.status, structured.body]).toMatchObject([201, { decision: 'ADMIT', event_id }]);
    const binary = await operator.raw('/v1/cloudevents', JSON.stringify(data), 'application/json', {
      'ce-specversion': '1.0',
      'ce-id': '1',
      'ce-source': '/shop',
      'ce-type': 'com.probity.transaction.v1',
      'ce-time': time,
    });
    expect([binary.status, binary.body]).toMatchObject([200, { decision: 'DUPLICATE', event_id }]);
    const batch = await operator.raw(
      '/v1/cloudevents',
      JSON.stringify([event, { ...event, id: '2', specversion: '0.3' }]),
      'application/cloudevents-batch+json',
    );
    expect(batch.body).toMatchObject([
      { decision: 'DUPLICATE' },
      { decision: 'REFUSED', code: 'EDGE_CLOUDEVENT_INVALID', at: '/specversion' },
    ]);
    const plain = await operator.post('/v1/cloudevents', event);
    expect(plain.body).toMatchObject({ status: 415, code: 'HTTP_MEDIA_TYPE_UNSUPPORTED' });
    const two = await operator.raw('/v1/cloudevents', `${JSON.stringify(event)} {}`, 'application/cloudevents+json');
    expect(two.body).toMatchObject({ status: 400, code: 'HTTP_BODY_INVALID' });
  });

  it('reads a topic of somebody else: each record once, what is none is kept by name, and what must wait waits', async () => {
    const { bus, objects, database } = running.parts;
    await bus.ensureTopics([{ topic: asTopicName(TOPIC), partitions: 2, recordBytesMax: 100_000, retentionMs: null }]);
    const producer = await bus.openProducer({ name: 'shop' });
    const record = (value: unknown, headers = {}) => ({
      key: null,
      value: Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)),
      headers,
    });
    const bought = (id: number) => ({ id: `b-${id}`, at: { time: '2026-03-02T00:00:00Z' }, sum: '1.00', payer: 'p' });
    const report = async (): Promise<EdgesReport> => (await operator.get('/v1/edges')).body as EdgesReport;
    const traceId = '1af7651916cd43dd8448eb211c80319c';

    // Not one of those that a call repeats by itself: it is the batch that has to come again.
    gate.refuse = new ProbityError('INTERNAL', 'a defect of the gate');
    await producer.append([
      {
        topic: asTopicName(TOPIC),
        partition: 0,
        records: [
          record(bought(1), { traceparent: `00-${traceId}-b7ad6b7169203331-01` }),
          record('no json'),
          record({ ...bought(2), sum: 1 }),
          record(bought(3)),
        ],
      },
      { topic: asTopicName(TOPIC), partition: 1, records: [record(bought(1)), record({ ...bought(4), payer: '' })] },
    ]);
    await eventually(
      () => gate.calls.length,
      (calls) => calls >= 4,
      20_000,
    );
    expect((await report()).sources[0]?.counts).toMatchObject({ admitted: 0, unreadable: 0 });

    gate.notReady = true;
    gate.refuse = undefined;
    gate.calls.length = 0;
    await eventually(
      () => gate.calls.length,
      (calls) => calls >= 3,
      20_000,
    );
    const held = (await report()).sources[0];
    expect([held?.counts, held?.partitions]).toEqual([
      { admitted: 0, duplicate: 0, quarantined: 0, unreadable: 0 },
      [],
    ]);

    gate.notReady = false;
    const done = await eventually(
      report,
      ({ sources }) => Array.isArray(sources[0]?.partitions) && sources[0].partitions.length === 2,
      20_000,
    );
    expect(done.sources[0]).toMatchObject({
      producer: 'till',
      run: { state: 'READY', run_id: pins.run_id },
      counts: { admitted: 2, duplicate: 1, quarantined: 1, unreadable: 2 },
      partitions: [
        { partition: 0, next_offset: 4, lag: 0 },
        { partition: 1, next_offset: 2, lag: 0 },
      ],
    });
    expect([...gate.admitted.values()].find(({ payload }) => payload?.['transaction_id'] === 'b-1')).toMatchObject({
      producer: 'till',
      payload: { amount_minor: 100, currency: 'EUR', account_id: 'p' },
    });
    const { body } = await operator.get('/v1/edges/unreadable?group=till');
    expect(body).toMatchObject({
      records: [
        { topic: TOPIC, partition: 0, offset: 2, code: 'EDGE_MAPPING_FAILED', at: '/amount', producer: 'till' },
        { topic: TOPIC, partition: 0, offset: 1, code: 'HTTP_BODY_INVALID', raw_bytes: 7 },
      ],
    });
    expect((await operator.get('/v1/edges/unreadable?group=till&limit=0')).body).toMatchObject({
      code: 'HTTP_REQUEST_INVALID',
    });
    const page = (await operator.get('/v1/edges/unreadable?group=till&limit=1')).body as { next_cursor: string };
    const rest = await operator.get(`/v1/edges/unreadable?group=till&limit=5&cursor=${page.next_cursor}`);
    expect(rest.body).toMatchObject({ records: [{ offset: 1 }] });
    const unit = database.forSchema('edge' as never);
    await expect(unit.query('delete from unreadable_records')).rejects.toMatchObject({
      code: expect.any(String) as unknown,
    });

    // The source whose run is not there holds its partitions; it began after what stood there before it was first assigned.
    expect(done.sources[1]).toMatchObject({ run: { state: 'IG_UNKNOWN_RUN' }, counts: { admitted: 0 } });
    await putLiveRun(objects, { key: 'later', scenario: 'live' });
    const own = { ...PAYMENT, transaction_id: 'late-1' };
    await producer.append([{ topic: asTopicName(TOPIC), partition: 0, records: [record(own)] }]);
    await eventually(report, ({ sources }) => sources[1]?.counts.admitted === 1, 20_000);
    await producer.close();
  });

  it('counts what became of messages, by producer and outcome, and logs no message', async () => {
    await operator.post('/v1/transactions', { ...PAYMENT, card_id: 'card-of-nobody-else' });
    const { text } = await operator.get('/metrics');
    expect(text).toMatch(
      /edge_results_total\{[^}]*producer="payments-api"[^}]*via="http"[^}]*decision="ADMIT"[^}]*\} [1-9]/,
    );
    expect(text).toMatch(/edge_submit_calls_total\{/);
    expect(text).toMatch(/edge_source_lag\{[^}]*producer="till"[^}]*partition="0"[^}]*\} 0\b/);
    expect(text).toMatch(/edge_source_watermark_age_seconds\{[^}]*topic="shop.payments"/);
    expect(logs.text).toContain('edge_batch');
    expect(logs.text).not.toContain('card-of-nobody-else');
  });

  it('counts a batch once, and gives it up where somebody else has gone on', async () => {
    const store = running.app.get(ProducerEdgesStore, { strict: false });
    const counts = { admitted: 1, duplicate: 0, quarantined: 0, unreadable: 1 };
    const record = { producer: 'p', code: 'c', at: '', detail: 'd', raw_digest: digestText(''), raw_bytes: 0 };
    const batch = (from: number) => ({
      group: 'store',
      topic: asTopicName('t'),
      partition: 0,
      firstOffset: asOffset(from),
      nextOffset: asOffset(from + 2),
      counts,
      unreadable: [{ ...record, offset: from, found_at_utc: fromEpochMs(0) }],
    });
    await store.done(batch(5));
    await expect(store.done(batch(5))).rejects.toMatchObject({ code: 'EDGE_POSITION_MOVED' });
    await store.done(batch(7));
    await store.begin('store', [{ topic: asTopicName('t'), partition: 0, offset: asOffset(1) }]);
    const [standing] = (await store.allPositions()).filter(({ group }) => group === 'store');
    expect(standing).toMatchObject({ nextOffset: 9, counts: { admitted: 2, unreadable: 2 } });
    expect((await store.unreadable('store', 9)).map(({ offset }) => offset)).toEqual([7, 5]);
  });

  it('describes its routes', async () => {
    const { paths } = (await operator.get('/openapi.json')).body as { paths: Record<string, object> };
    expect(Object.keys(paths)).toEqual(
      expect.arrayContaining(['/v1/transactions', '/v1/cloudevents', '/v1/edges', '/v1/edges/unreadable']),
    );
    expect(JSON.stringify(paths['/v1/transactions'])).toContain('occurred_at');
  });

  it('says why a run cannot be used', async () => {
    await putSealedRun(running.parts.objects, {
      key: 'not yet',
      scenario: 's',
      rows: [{ key: 'k', ts_utc: '2026-01-01T00:00:00.000000Z', payload: {} }],
    });
    const { http } = (await operator.get('/v1/edges')).body as EdgesReport;
    expect(http.map(({ run }) => run.state)).toEqual(['READY', 'EDGE_RUN_NOT_LIVE']);
  });
});
