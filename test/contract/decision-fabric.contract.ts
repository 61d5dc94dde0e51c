import { beforeEach, describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import {
  BATCH_RECORDS_MAX,
  DecisionFabricConsumer,
  DecisionPositions,
} from '../../src/modules/decision-fabric/decision-fabric.consumer.js';
import { EngineInForce } from '../../src/modules/decision-fabric/decision-fabric.engine.js';
import { DecisionSignals } from '../../src/modules/decision-fabric/decision-fabric.signals.js';
import { DecisionFabricStore } from '../../src/modules/decision-fabric/decision-fabric.store.js';
import { Submission } from '../../src/modules/decision-fabric/submission.js';
import { DegradeLadderPort } from '../../src/modules/degrade-ladder/degrade-ladder.port.js';
import { FeaturePlanePort, type SnapshotsResponse } from '../../src/modules/feature-plane/feature-plane.port.js';
import { IngestionGatePort, type SubmitResult } from '../../src/modules/ingestion-gate/ingestion-gate.port.js';
import { type CapabilityMask, MOST_RESTRICTIVE, unrestricted } from '../../src/rails/capability-mask.js';
import { canonicalJson, type JsonValue } from '../../src/rails/canonical-json.js';
import { digestText } from '../../src/rails/digest.js';
import { asTopicName, type Offset } from '../../src/rails/eb-ref.js';
import { ProbityError } from '../../src/rails/errors/probity-error.js';
import type { Decision } from '../../src/rails/events/decision.schema.js';
import type { FeatureDefinitions } from '../../src/rails/features/definition.schema.js';
import { FeatureState } from '../../src/rails/features/feature-state.js';
import { planOf } from '../../src/rails/features/plan.js';
import { snapshotOf } from '../../src/rails/features/snapshot.js';
import { advance, basisRecord, emptyBasis } from '../../src/rails/basis.js';
import { sealPolicy, type SealedPolicy } from '../../src/rails/policy-rev.js';
import { fromEpochMs, toEpochMicros } from '../../src/rails/time.js';
import type { Bus, BusReader, RecordBatch } from '../../src/substrate/bus/bus.port.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import type { Database } from '../../src/substrate/database/database.port.js';
import { StaticPolicies } from '../../src/substrate/policy/policy.port.js';
import { recordedTelemetry } from '../support/telemetry.js';
import { batchOf, envelopeOf, type Log, recordOf, runPins, TRAFFIC } from './feature-plane.kit.js';

const shipped = (policy: string): SealedPolicy => {
  const file = join(process.cwd(), 'profiles', 'local', 'policy', `${policy}.yaml`);
  return sealPolicy(policy, 1, (parse(readFileSync(file, 'utf8')) as { body: JsonValue }).body);
};
const DEFINITIONS = shipped('ofp.features');
const GROUPS = (DEFINITIONS.body as unknown as FeatureDefinitions).groups.map(({ name }) => name);
const pins = runPins('fabric');

/** A gate that admits each id once and keeps what it admitted, as a bus that can be read. */
class FakeGate extends IngestionGatePort {
  readonly admitted = new Map<string, { text: string; offset: number }>();
  readonly calls: string[][] = [];
  /** Refuses these types, or fails before or after it has admitted. */
  refuse: string | null = null;
  fail: 'before' | 'after' | null = null;
  receiptCalls = 0;

  submit({ events }: { events: string[] }) {
    if (this.fail === 'before') return Promise.reject(new ProbityError('IG_LEDGER_UNHEALTHY', 'down'));
    this.calls.push(events.map((text) => (JSON.parse(text) as { event_type: string }).event_type));
    const results = events.map((text): SubmitResult => {
      const { event_id, event_type } = JSON.parse(text) as { event_id: string; event_type: string };
      const base = { receipt_id: digestText(event_id), event_id: event_id as never, retryable: false };
      if (event_type === this.refuse) return { ...base, decision: 'QUARANTINE', reason_codes: ['SCHEMA_FAIL'] };
      const before = this.admitted.get(event_id);
      if (before !== undefined && before.text !== text)
        return { ...base, decision: 'QUARANTINE', reason_codes: ['PAYLOAD_HASH_MISMATCH'] };
      const offset = before?.offset ?? 1_000 + this.admitted.size;
      this.admitted.set(event_id, { text, offset });
      const eb_ref = { topic: TRAFFIC, partition: 0, offset: offset as Offset };
      return { ...base, decision: before === undefined ? 'ADMIT' : 'DUPLICATE', reason_codes: [], eb_ref };
    });
    if (this.fail === 'after') return Promise.reject(new ProbityError('RPC_DEADLINE_EXCEEDED', 'the answer was lost'));
    return Promise.resolve({ results: results as never });
  }

  receipts({ event_ids }: { event_ids: string[] }) {
    this.receiptCalls += 1;
    const receipts = event_ids.map((id) => {
      const found = this.admitted.get(id);
      return found === undefined ? null : { eb_ref: { topic: TRAFFIC, partition: 0, offset: found.offset } };
    });
    return Promise.resolve({ receipts: receipts as never });
  }

  reconcile(): never {
    throw new Error('nobody reconciles here');
  }

  ofType(type: string): readonly string[] {
    return [...this.admitted.values()]
      .map(({ text }) => text)
      .filter((text) => text.includes(`"event_type":"${type}"`));
  }

  get decisions(): readonly Decision[] {
    return this.ofType('decision').map((text) => (JSON.parse(text) as { payload: Decision }).payload);
  }

  /** The bus behind it, as far as somebody reads back what was admitted. */
  asBus(): Bus {
    const openReader = ([position]: readonly { offset: number }[]): Promise<BusReader> => {
      const found = [...this.admitted.values()].find(({ offset }) => offset === position?.offset);
      const records = found === undefined ? [] : [recordOf(found.text, found.offset)];
      return Promise.resolve({
        poll: () =>
          Promise.resolve([{ topic: TRAFFIC, partition: 0, records, nextOffset: 0 as Offset, highWater: 0 as Offset }]),
        close: () => Promise.resolve(),
      });
    };
    return { openReader } as unknown as Bus;
  }
}

class FakeFeatures extends FeaturePlanePort {
  calls: { groups: string[]; count: number }[] = [];
  answer: 'served' | 'stale' | 'down' | 'nonsense' | 'foreign' = 'served';

  snapshots({ triggers, groups }: Parameters<FeaturePlanePort['snapshots']>[0]) {
    this.calls.push({ groups, count: triggers.length });
    if (this.answer === 'down') return Promise.reject(new ProbityError('RPC_UNAVAILABLE', 'down'));
    if (this.answer === 'nonsense') return Promise.resolve({ results: [] });
    const state = new FeatureState(planOf(DEFINITIONS.body as unknown as FeatureDefinitions));
    const results = triggers.map((trigger, at) => {
      if (this.answer === 'stale') return { status: 'STALE', detail: 'behind' };
      const { event_id, event_type, ts_utc, partition, offset, payload } = trigger;
      const eventId = (this.answer === 'foreign' ? `other-${at}` : event_id) as never;
      const event = { eventId, eventType: event_type, ts: toEpochMicros(ts_utc), partition, offset, payload };
      const basis = advance(emptyBasis([TRAFFIC]), [{ topic: TRAFFIC, partition, nextOffset: offset }]);
      const snapshot = snapshotOf({
        pins,
        trigger: event,
        definitions: DEFINITIONS.policy_rev,
        groups: state.snapshot(event, new Set(groups)),
        inputBasis: basisRecord(basis),
      });
      return { status: 'SERVED', snapshot };
    });
    return Promise.resolve({ results } as unknown as typeof SnapshotsResponse.static);
  }
}

class FakeLadder extends DegradeLadderPort {
  mask: CapabilityMask = unrestricted(GROUPS);
  answer: 'fresh' | 'old' | 'none' | 'down' = 'fresh';

  constructor(private readonly clock: ManualClock) {
    super();
  }

  posture() {
    if (this.answer === 'down') return Promise.reject(new ProbityError('RPC_UNAVAILABLE', 'down'));
    if (this.answer === 'none') return Promise.resolve({ posture: null });
    const posture = {
      scope_key: 'GLOBAL',
      mode: 'NORMAL',
      mask: this.mask,
      health: 'HEALTHY',
      reason_codes: [],
      triggers: [],
      snapshot_id: digestText('r'),
      policy_rev: sealPolicy('dl.ladder', 1, {}).policy_rev,
      posture_seq: 7,
      decided_at_utc: fromEpochMs(this.clock.nowMs() - (this.answer === 'old' ? 60_000 : 0)),
    };
    return Promise.resolve({ posture } as never);
  }
}

const payment = (n: number) => ({ id: `t-${n}`, second: n * 60, customer: 'c-1', terminal: 'x-1', amount: 500 });

export function decisionFabricSuite(open: () => Database): void {
  let gate: FakeGate;
  let features: FakeFeatures;
  let ladder: FakeLadder;
  let clock: ManualClock;
  let store: DecisionFabricStore;
  let telemetry: ReturnType<typeof recordedTelemetry>;
  let scenario = 0;

  beforeEach(async () => {
    await open().query('delete from positions');
    await open().query('delete from invalid');
    scenario += 1;
    clock = new ManualClock();
    [gate, features, ladder] = [new FakeGate(), new FakeFeatures(), new FakeLadder(clock)];
    store = new DecisionFabricStore(open());
  });

  /** A life of the fabric: what it noted in memory is gone with it. */
  function life(rules: SealedPolicy = shipped('df.rules')) {
    telemetry = recordedTelemetry();
    const policies = new StaticPolicies(
      new Map([
        ['df.decision', shipped('df.decision')],
        ['df.rules', rules],
        ['df.bundles', shipped('df.bundles')],
        ['ofp.features', DEFINITIONS],
      ]),
    );
    const positions = new DecisionPositions(store);
    const consumer = new DecisionFabricConsumer(
      new EngineInForce(policies),
      new Submission(gate, gate.asBus(), clock),
      store,
      positions,
      new DecisionSignals(telemetry.telemetry, clock),
      clock,
      telemetry.telemetry,
      ladder,
      features,
    );
    return { consumer, positions };
  }

  /** Payments that no other test has: decisions are append-only. */
  const logOf = (count: number, ...more: readonly object[]): Log => ({
    topic: asTopicName(TRAFFIC),
    partition: 0,
    records: [
      ...Array.from({ length: count }, (_, n) =>
        envelopeOf(pins, { ...payment(n), id: `s${scenario}-${Date.now()}-${n}` }),
      ),
      ...more,
    ].map((envelope, offset) => recordOf(envelope, offset)),
  });
  const all = (log: Log): RecordBatch => batchOf(log, 0, 1_000);

  describe('one decision per trigger', () => {
    it('decisions first, then what they ask for, and the position behind both', async () => {
      const log = logOf(5);
      await life().consumer.take(all(log));
      expect(gate.calls).toEqual([Array(5).fill('decision'), Array(5).fill('action_intent')]);
      expect(gate.decisions.map(({ source_event }) => source_event.eb_ref.offset)).toEqual([0, 1, 2, 3, 4]);
      expect(await store.positions([log])).toMatchObject([{ offset: 5 }]);
      const [decision] = gate.decisions;
      expect(await store.find(decision?.decision_id ?? '')).toMatchObject({
        outcome: 'APPROVE',
        source_offset: 0,
        mode: 'NORMAL',
      });
      // One call for the features of all of them.
      expect(features.calls.map(({ count }) => count)).toEqual([5]);
    });

    it('what follows from decisions triggers none, nor does a type that nobody decides', async () => {
      const log = logOf(1);
      await life().consumer.take(all(log));
      const follow = { ...log, records: [...gate.admitted.values()].map(({ text }, at) => recordOf(text, 10 + at)) };
      await life().consumer.take(batchOf(follow, 10, 100));
      expect(gate.decisions).toHaveLength(1);
      expect(await store.positions([log])).toMatchObject([{ offset: 12 }]);
    });

    it('a record that nobody can read is recorded and passed by; the others are decided', async () => {
      const log = logOf(2);
      const poisoned = {
        ...log,
        records: [recordOf('{"broken', 0), ...log.records.map((one, at) => ({ ...one, offset: (at + 1) as Offset }))],
      };
      await life().consumer.take(all(poisoned));
      expect(gate.decisions).toHaveLength(2);
      expect((await open().query('select record_offset, reason from invalid')).rows).toEqual([
        { record_offset: 0, reason: 'MALFORMED_ENVELOPE' },
      ]);
      expect(await telemetry.metricsText()).toMatch(/df_invalid_total(\{[^}]*\})? 1/);
    });

    it('a decision that the gate quarantines is an incident: recorded, nothing follows from it, the partition goes on', async () => {
      gate.refuse = 'decision';
      const log = logOf(2);
      await life().consumer.take(all(log));
      expect(gate.ofType('action_intent')).toEqual([]);
      const { rows } = await open().query('select reason_codes from incidents order by seen_at desc limit 2');
      expect(rows).toEqual([{ reason_codes: ['SCHEMA_FAIL'] }, { reason_codes: ['SCHEMA_FAIL'] }]);
      expect(await store.positions([log])).toMatchObject([{ offset: 2 }]);
    });
  });

  describe('decided once', () => {
    it('a fabric that died behind its decisions finds them again, under another posture and other rules, and completes what is missing', async () => {
      const log = logOf(4);
      // The decisions are admitted, and the answer is lost with the process.
      gate.fail = 'after';
      await expect(life().consumer.take(all(log))).rejects.toMatchObject({ code: 'RPC_DEADLINE_EXCEEDED' });
      expect([gate.decisions.length, gate.ofType('action_intent').length]).toEqual([4, 0]);
      const before = gate.ofType('decision');
      gate.fail = null;
      ladder.mask = MOST_RESTRICTIVE;
      const stricter = sealPolicy('df.rules', 2, {
        lists: [
          {
            name: 'b',
            kind: 'block',
            rules: [{ id: 'all', when: 'event.amount_minor >= 0', outcome: 'DECLINE', reason_code: 'ALL', text: 't' }],
          },
        ],
      });
      const { consumer, positions } = life(stricter);
      await positions.positions([log]);
      await consumer.take(all(log));
      expect(gate.ofType('decision')).toEqual(before);
      expect(gate.decisions.every(({ outcome }) => outcome === 'APPROVE')).toBe(true);
      expect(gate.ofType('action_intent')).toHaveLength(4);
      // Twin: what had not been decided before is decided under what is in force now.
      const more = logOf(1);
      await consumer.take({ ...all(more), records: more.records.map((one) => ({ ...one, offset: 4 as Offset })) });
      expect(gate.decisions.at(-1)).toMatchObject({ outcome: 'DECLINE', posture: { mask: MOST_RESTRICTIVE } });
    });

    it('the gate is asked for earlier decisions only within one batch behind a start, so that the hot path pays nothing', async () => {
      const { consumer, positions } = life();
      const log = logOf(3);
      await positions.positions([log]);
      await consumer.take(all(log));
      expect(gate.receiptCalls).toBe(1);
      positions.passed(log, BATCH_RECORDS_MAX);
      await consumer.take(all(logOf(3)));
      expect(gate.receiptCalls).toBe(1);
      await positions.positions([log]);
      await consumer.take(all(logOf(1)));
      expect(gate.receiptCalls).toBe(2);
    });

    it('the same batch again is all duplicates, and the index has each decision once', async () => {
      const log = logOf(3);
      await life().consumer.take(all(log));
      const after = gate.admitted.size;
      await life().consumer.take(all(log));
      expect(gate.admitted.size).toBe(after);
      const ids = gate.decisions.map(({ decision_id }) => decision_id);
      const { rows } = await open().query('select count(*)::integer as n from decisions where decision_id = any($1)', [
        ids,
      ]);
      expect(rows).toEqual([{ n: 3 }]);
    });

    it('a gate that is down takes nothing, and the position stays', async () => {
      gate.fail = 'before';
      const log = logOf(2);
      await expect(life().consumer.take(all(log))).rejects.toMatchObject({ code: 'IG_LEDGER_UNHEALTHY' });
      expect(await store.positions([log])).toEqual([]);
    });
  });

  describe('what may be leant on', () => {
    const decided = async (): Promise<Decision> => {
      await life().consumer.take(all(logOf(1)));
      const decision = gate.decisions.at(-1);
      if (decision === undefined) throw new Error('nothing was decided');
      return decision;
    };

    it('a group that is masked is not asked for, and without any group nobody is called', async () => {
      const some = GROUPS.filter((name) => name === 'core_transaction' || name === 'core_card');
      ladder.mask = { ...unrestricted(GROUPS), allowed_feature_groups: some as never };
      await decided();
      expect(features.calls.map(({ groups }) => [...groups].sort())).toEqual([['core_card', 'core_transaction']]);
      features.calls = [];
      ladder.mask = MOST_RESTRICTIVE;
      const decision = await decided();
      expect(features.calls).toEqual([]);
      expect(decision).toMatchObject({
        outcome: 'STEP_UP',
        posture: { posture_seq: 7 },
        features: { status: 'FORBIDDEN_BY_MASK', forbidden_groups: expect.arrayContaining(['core_card']) },
      });
      expect(decision.reason_codes).toContain('CAPABILITY_BLOCK:allowed_feature_groups');
    });

    it.each([
      ['down', 'UNAVAILABLE'],
      ['nonsense', 'UNAVAILABLE'],
      ['foreign', 'UNAVAILABLE'],
      ['stale', 'STALE_BEYOND_TOLERANCE'],
    ] as const)('features that are %s: the safe outcome, with the reason', async (answer, status) => {
      features.answer = answer;
      const decision = await decided();
      expect(decision).toMatchObject({ outcome: 'STEP_UP', features: { status } });
      expect(decision.reason_codes).toContain(`FEATURES_${status}`);
    });

    it.each([
      ['down', 'UNAVAILABLE', 'DL_UNAVAILABLE_FAIL_CLOSED'],
      ['none', 'UNAVAILABLE', 'DL_UNAVAILABLE_FAIL_CLOSED'],
      ['old', 'STALE', 'POSTURE_STALE'],
    ] as const)(
      'a posture that is %s is the most restrictive one: nobody is asked for anything',
      async (answer, status, reason) => {
        ladder.answer = answer;
        const decision = await decided();
        expect(decision).toMatchObject({
          outcome: 'STEP_UP',
          posture: { status, mode: 'FAIL_CLOSED', mask: MOST_RESTRICTIVE },
        });
        expect(decision.reason_codes).toContain(reason);
        expect(features.calls).toEqual([]);
      },
    );

    it('with everything there it is approved: the twin', async () => {
      expect(await decided()).toMatchObject({ outcome: 'APPROVE', reason_codes: [], features: { status: 'USED' } });
    });
  });

  it('keeps the trace of the request that brought the event', async () => {
    const log = logOf(1);
    const [record] = log.records;
    if (record === undefined) throw new Error('no record');
    const traceId = '0af7651916cd43dd8448eb211c80319c';
    const traced = { ...record, headers: { traceparent: `00-${traceId}-b7ad6b7169203331-01` } };
    await life().consumer.take({ ...all(log), records: [traced] });
    const envelopes = [...gate.admitted.values()].map(({ text }) => JSON.parse(text) as { trace_id: string });
    expect(envelopes.map(({ trace_id }) => trace_id)).toEqual([traceId, traceId]);
    expect(telemetry.spans().map((span) => [span.name, span.spanContext().traceId])).toContainEqual([
      'df.decide',
      traceId,
    ]);
    expect(canonicalJson(gate.decisions[0])).not.toContain(traceId);
  });
}
