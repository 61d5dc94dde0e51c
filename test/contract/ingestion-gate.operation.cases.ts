import { expect, it } from '@jest/globals';
import { type Receipt } from '../../src/modules/ingestion-gate/ingestion-gate.port.js';
import { requestKey } from '../../src/modules/scenario-runner/scenario-runner.port.js';
import { type JsonObject } from '../../src/rails/canonical-json.js';
import { refusal } from '../../src/substrate/bus/contract/kit.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import { type Objects } from '../../src/substrate/objects/objects.port.js';
import { eventually } from '../support/eventually.js';
import { transactionEvent, transactionPayload } from '../support/run-facts.js';
import { Reconciler } from '../../src/modules/ingestion-gate/reconciliation.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { recordedTelemetry } from '../support/telemetry.js';
import { asPolicy, by, caller, POLICY, TestPolicies, TOPIC } from './ingestion-gate.kit.js';
import { type GateRig } from './ingestion-gate.rig.js';
import { failing, type Switch } from './ingestion-gate.stand-ins.js';

/** What an operator relies on: outages, evidence, remediation, the door, reconciliation, signals. */
export function operationCases({ ground, open, freshRun, ofRun, one, seen }: GateRig): void {
  it.each([
    ['ledger', 'DATABASE_UNAVAILABLE', 'IG_LEDGER_UNHEALTHY'],
    ['bus', 'BUS_UNAVAILABLE', 'IG_EB_UNHEALTHY'],
    ['objects', 'OBJECTS_UNAVAILABLE', 'IG_EVIDENCE_STORE_UNHEALTHY'],
  ] as const)(
    'promises nothing while the %s is down, and forgets nothing when it is back',
    async (what, code, told) => {
      const off: Switch = { code: undefined };
      const { bus, database, objects } = ground();
      const gate = await open({
        ...(what === 'ledger' ? { database: failing(database, off) } : {}),
        ...(what === 'bus' ? { bus: seen(failing(bus, off)) } : {}),
        ...(what === 'objects' ? { objects: failing(objects, off) } : {}),
      });
      const run = await freshRun();
      const texts = [transactionEvent(run, 1), transactionEvent(run, 2, { extra: 1 })];
      off.code = code;
      await refusal(
        gate.admit(
          texts.map((text) => ({ text })),
          by(),
        ),
        told,
      );
      // A run that nobody could look at is never taken for an unknown one, nor an event for a refused one.
      expect(await ofRun(run)).toEqual([]);
      off.code = undefined;
      expect((await gate.quarantine({ limit: 10, run_id: run.run_id })).entries).toEqual([]);
      const receipts = await gate.admit(
        texts.map((text) => ({ text })),
        by(),
      );
      expect(receipts.map(({ decision }) => decision)).toEqual(['ADMIT', 'QUARANTINE']);
      off.code = code;
      if (what !== 'objects') {
        await refusal(one(gate, transactionEvent(run, 3)), told);
        off.code = undefined;
        expect((await one(gate, transactionEvent(run, 3))).decision).toBe('ADMIT');
      } else {
        // The run is known by now, and an admission needs no object; a refusal does.
        expect((await one(gate, transactionEvent(run, 3))).decision).toBe('ADMIT');
        await refusal(one(gate, transactionEvent(run, 4, { extra: 1 })), told);
        off.code = undefined;
      }
      expect(await ofRun(run)).toHaveLength(2);
    },
  );

  it('keeps the digest alone where the policy says so', async () => {
    const gate = await open({ policies: new TestPolicies(asPolicy({ ...POLICY, quarantine: { keep_raw: false } })) });
    const run = await freshRun();
    const receipt = await one(gate, transactionEvent(run, 1, { extra: 'a secret' }));
    expect(await gate.readEvidence(receipt.receipt_id, caller('auditor'), 'a test')).toBeNull();
    const { evidence } = receipt.quarantine ?? {};
    if (evidence === undefined) throw new Error('there is no evidence');
    expect((await ground().objects.read(evidence)).toString()).not.toContain('a secret');
  });

  it('records who read evidence, and what for, and refuses to forget it', async () => {
    const gate = await open();
    const run = await freshRun();
    const { receipt_id } = await one(gate, transactionEvent(run, 1, { extra: 1 }));
    await gate.readEvidence(receipt_id, caller('auditor'), 'a complaint');
    const { database } = ground();
    const { rows } = await database.query(
      `select reader, key_id, purpose from evidence_reads where quarantine_id = decode($1, 'hex')`,
      [receipt_id],
    );
    expect(rows).toEqual([{ reader: 'SYSTEM::auditor', key_id: 'key-of-auditor', purpose: 'a complaint' }]);
    await refusal(
      gate.readEvidence('f'.repeat(64) as typeof receipt_id, caller('auditor'), 'x'),
      'IG_QUARANTINE_NOT_FOUND',
    );
    for (const table of ['admissions', 'intakes', 'duplicates', 'quarantines', 'supersessions', 'evidence_reads']) {
      await refusal(database.query(`delete from ${table}`), 'DATABASE_APPEND_ONLY', 'DATABASE_FORBIDDEN');
      const column = table === 'evidence_reads' ? 'purpose' : 'intake';
      await refusal(
        database.query(`update ${table} set ${column} = null`),
        'DATABASE_APPEND_ONLY',
        'DATABASE_FORBIDDEN',
      );
    }
  });

  it('notices evidence that is not what was put', async () => {
    const gate = await open();
    const run = await freshRun();
    const { receipt_id } = await one(gate, transactionEvent(run, 1, { extra: 1 }));
    const wrong: Objects = new Proxy(ground().objects, {
      get(target, property) {
        if (property === 'readRange') return () => Promise.resolve(Buffer.from('{"raw":"another event"}\n'));
        const value: unknown = Reflect.get(target, property, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
    const other = await open({ objects: wrong });
    await refusal(other.readEvidence(receipt_id, caller('auditor'), 'x'), 'OBJECTS_DIGEST_MISMATCH');
  });

  it('lets a released or corrected event in by the same door, and tells what superseded the old one', async () => {
    const policies = new TestPolicies(asPolicy({ ...POLICY, producers: { wsp: POLICY.producers['wsp'] } }));
    const gate = await open({ policies });
    const run = await freshRun();
    const text = transactionEvent(run, 1);
    const old = await one(gate, text);
    expect(old.reason_codes).toEqual(['PRODUCER_MISMATCH']);
    policies.activate(2, POLICY);
    const [released] = await gate.admit([{ text, supersedes: old.receipt_id }], by());
    expect(released).toMatchObject({ decision: 'ADMIT', supersedes_ref: old.receipt_id });
    expect(await gate.quarantined(old.receipt_id)).toEqual({
      quarantine_id: old.receipt_id,
      receipt: old,
      superseded_by: released?.receipt_id,
    });
    expect(await gate.receipt(released?.receipt_id ?? old.receipt_id)).toEqual(released);
    // Released again: it is the same event.
    const [again] = await gate.admit([{ text, supersedes: old.receipt_id }], by());
    expect(again).toMatchObject({ decision: 'DUPLICATE', original_receipt_id: released?.receipt_id });
    // A correction has an id of its own and names the old one.
    const bad = await one(gate, transactionEvent(run, 2, { payload: transactionPayload(2, { amount_minor: -1 }) }));
    const correct = (more: JsonObject) => transactionEvent(run, 3, more);
    const [nameless] = await gate.admit([{ text: correct({}), supersedes: bad.receipt_id }], by());
    expect(nameless).toMatchObject({ decision: 'QUARANTINE', reason_codes: ['ENVELOPE_INVALID'] });
    const [corrected] = await gate.admit(
      [{ text: correct({ parent_event_id: 'e-2' }), supersedes: bad.receipt_id }],
      by(),
    );
    expect(corrected).toMatchObject({ decision: 'ADMIT', supersedes_ref: bad.receipt_id });
    expect((await gate.quarantined(bad.receipt_id))?.superseded_by).toBe(corrected?.receipt_id);
    const unknown = 'f'.repeat(64) as Receipt['receipt_id'];
    await refusal(gate.admit([{ text, supersedes: unknown }], by()), 'IG_QUARANTINE_NOT_FOUND');
  });

  it('slows a caller down that sends more than its rate, and nobody else', async () => {
    const clock = new ManualClock();
    const limits = { ...POLICY.limits, rate_per_s: 10 };
    const gate = await open({ clock, policies: new TestPolicies(asPolicy({ ...POLICY, limits })) });
    const run = await freshRun();
    const batch = Array.from({ length: 20 }, (_, number) => ({ text: transactionEvent(run, number) }));
    expect(await gate.admit(batch, by())).toHaveLength(20);
    const slowed = await refusal(gate.admit(batch, by()), 'IG_RATE_LIMITED');
    expect(slowed.data['retry_after_ms']).toBe(1_000);
    expect(await gate.admit(batch.slice(0, 1), by('wsp'))).toHaveLength(1);
    await clock.advance(1_001);
    expect(await gate.admit(batch, by())).toHaveLength(20);
  });

  it('closes the door before memory grows: throttled, then paused, then open again', async () => {
    const limits = { ...POLICY.limits, throttle_bytes: 5_000, pause_bytes: 20_000 };
    const gate = await open({ policies: new TestPolicies(asPolicy({ ...POLICY, limits })) });
    const run = await freshRun();
    const batch = (count: number) =>
      Array.from({ length: count }, (_, number) => ({ text: transactionEvent(run, number) }));
    expect(gate.ingress()).toEqual({ state: 'OPEN', retryAfterMs: 0 });
    // Nothing is awaited between these calls, so their bytes are waiting.
    const first = gate.admit(batch(15), by());
    await eventually(
      () => gate.ingress().state,
      (state) => state === 'THROTTLE',
    );
    await refusal(gate.admit(batch(1), by()), 'IG_RATE_LIMITED');
    await first;
    expect(gate.ingress().state).toBe('OPEN');
    const large = gate.admit(batch(60), by());
    await eventually(
      () => gate.ingress().state,
      (state) => state === 'PAUSE',
    );
    await refusal(gate.admit(batch(1), by()), 'IG_PAUSED');
    expect(await large).toHaveLength(60);
    expect(gate.ingress().state).toBe('OPEN');
  });

  it('gives up a call whose caller has gone before its turn', async () => {
    const gate = await open();
    const run = await freshRun();
    const controller = new AbortController();
    controller.abort();
    const gone = gate.admit([{ text: transactionEvent(run, 1) }], { ...by(), signal: controller.signal });
    await refusal(gone, 'RPC_CANCELLED');
    expect((await one(gate, transactionEvent(run, 2))).decision).toBe('ADMIT');
    expect(await ofRun(run)).toHaveLength(1);
  });

  it('finds ledger and bus equal, and names what differs when they are made to', async () => {
    const gate = await open();
    const run = await freshRun();
    const other = await freshRun();
    const texts = Array.from({ length: 120 }, (_, number) => transactionEvent(run, number));
    await gate.admit(
      [...texts, ...texts.slice(0, 7)].map((text) => ({ text })),
      by(),
    );
    await gate.admit([{ text: transactionEvent(run, 1, { extra: 1 }) }, { text: transactionEvent(other, 1) }], by());
    await gate.admit([{ text: transactionEvent(run, 1, { payload: transactionPayload(2) }) }], by());
    const reconciled = async () =>
      await eventually(
        () => gate.reconcile(run.run_id),
        ({ state }) => state === 'DONE',
        30_000,
      );
    const clean = await reconciled();
    expect(clean).toMatchObject({ admitted: 120, duplicate: 7, quarantined: 1, on_bus: 120, reconciled: true });
    const again = await reconciled();
    expect(again.set_digest).toBe(clean.set_digest);
    // Past the gate: one event twice, one that the ledger does not know, one of another content; and one row too many.
    const { bus } = ground();
    const producer = await bus.openProducer({ name: `stranger.${process.pid}` });
    const record = (text: string) => ({ key: 'k', value: Buffer.from(text), headers: {} });
    await producer.append([
      {
        topic: TOPIC,
        partition: 0,
        records: [record(texts[3] ?? ''), record(transactionEvent(run, 900))],
      },
    ]);
    await producer.close();
    await ground().administrate(`
        insert into ig.admissions (receipt_id, content_digest, payload_hash, record_offset, intake, ts_utc, run, kind,
          partition, event_id, partition_key)
        select sha256('planted'), a.content_digest, a.payload_hash, 0, a.intake, a.ts_utc, a.run, a.kind, 0, 'e-901',
          'k'
        from ig.admissions as a join ig.runs as r on r.run = a.run where r.run_id = '${run.run_id}' limit 1`);
    expect(await reconciled()).toMatchObject({
      admitted: 121,
      on_bus: 122,
      missing_on_bus: ['e-901'],
      not_in_ledger: ['e-900'],
      more_than_once_on_bus: ['e-3'],
      reconciled: false,
    });
  });

  it('compares both sides as of one moment: what is admitted while it looks changes nothing', async () => {
    const gate = await open();
    const run = await freshRun();
    await gate.admit(
      [1, 2, 3].map((number) => ({ text: transactionEvent(run, number) })),
      by(),
    );
    const busy = new Proxy(ground().bus, {
      get(target, property) {
        const value: unknown = Reflect.get(target, property, target);
        if (property !== 'marks') return typeof value === 'function' ? (value.bind(target) as unknown) : value;
        return async (topic: typeof TOPIC) => {
          const marks = await target.marks(topic);
          await one(gate, transactionEvent(run, 4));
          return marks;
        };
      },
    });
    const { database } = ground();
    const reconciler = new Reconciler(busy, database, new SystemClock(), new TestPolicies());
    const found = await eventually(
      () => reconciler.reconcile(run.run_id),
      ({ state }) => state === 'DONE',
      30_000,
    );
    expect(found).toMatchObject({ admitted: 3, on_bus: 3, reconciled: true });
    expect(await ofRun(run)).toHaveLength(4);
  });

  it('tells its decisions: counters by producer, type and reason, a line per batch and per reason, no values', async () => {
    const telemetry = recordedTelemetry('ingestion-gate');
    const gate = await open({ telemetry });
    const run = await freshRun();
    await gate.admit(
      [
        transactionEvent(run, 1),
        transactionEvent(run, 1),
        transactionEvent(run, 2, { producer: 'Nobody-4711'.toLowerCase() }),
        transactionEvent(run, 3, { payload: transactionPayload(3, { currency: 'secret-4711' }) }),
        transactionEvent(run, 4, { payload: transactionPayload(4, { currency: 'secret-4711' }) }),
      ].map((text) => ({ text })),
      by(),
    );
    const batch = telemetry.lines().find(({ event, msg }) => event === 'ig_batch' || msg === 'ig_batch');
    expect(batch).toMatchObject({ admitted: 1, duplicate: 1, quarantined: 3, runs: [run.run_id] });
    const refused = telemetry
      .lines()
      .filter(({ event, msg }) => event === 'ig_quarantined' || msg === 'ig_quarantined');
    expect(refused.map(({ reason, count }) => [reason, count])).toEqual([
      ['PRODUCER_MISMATCH', 1],
      ['SCHEMA_FAIL', 2],
    ]);
    const metrics = await telemetry.metricsText();
    expect(metrics).toMatch(/ig_events[^\n]*decision="ADMIT"[^\n]*producer="payments-api"[^\n]* 1/);
    expect(metrics).toMatch(/ig_events[^\n]*reason="SCHEMA_FAIL"[^\n]* 2/);
    expect(metrics).toMatch(/ig_ingress_state[^\n]*state="OPEN"[^\n]* 1/);
    // What a stranger calls itself does not become a series, and no value becomes a word of the log.
    expect(metrics).not.toContain('nobody-4711');
    expect(telemetry.text()).not.toContain('secret-4711');
  });

  it('never takes a store that does not answer for a run that does not exist', async () => {
    const off: Switch = { code: 'OBJECTS_UNAVAILABLE' };
    const gate = await open({ objects: failing(ground().objects, off) });
    const run = await freshRun();
    await refusal(one(gate, transactionEvent(run, 1)), 'IG_EVIDENCE_STORE_UNHEALTHY');
    off.code = undefined;
    expect((await one(gate, transactionEvent(run, 1))).decision).toBe('ADMIT');
    expect(await ground().objects.head(requestKey(run.run_id))).not.toBeNull();
  });
}
