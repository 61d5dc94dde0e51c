import { beforeEach, describe, expect, it } from '@jest/globals';
import { PASSED_BY_MAX, SUSPICIOUS_MAX } from '../../src/modules/decision-fabric/decision-fabric.consumer.js';
import { DecisionFabricStore } from '../../src/modules/decision-fabric/decision-fabric.store.js';
import { MOST_RESTRICTIVE, unrestricted } from '../../src/rails/capability-mask.js';
import { canonicalJson } from '../../src/rails/canonical-json.js';
import { asTopicName, type Offset } from '../../src/rails/eb-ref.js';
import type { Decision } from '../../src/rails/events/decision.schema.js';
import { sealPolicy, type SealedPolicy } from '../../src/rails/policy-rev.js';
import type { RecordBatch } from '../../src/substrate/bus/bus.port.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import type { Database } from '../../src/substrate/database/database.port.js';
import type { RecordedTelemetry } from '../support/telemetry.js';
import {
  engineOf,
  FakeFeatures,
  FakeGate,
  FakeLadder,
  fabricLife,
  GROUPS,
  pins,
  shipped,
} from './decision-fabric.kit.js';
import { graphSuite } from './decision-fabric.graph.cases.js';
import { masksSuite } from './decision-fabric.masks.cases.js';
import { batchOf, envelopeOf, type Log, recordOf, TRAFFIC } from './feature-plane.kit.js';

const payment = (n: number) => ({ id: `t-${n}`, second: n * 60, customer: 'c-1', terminal: 'x-1', amount: 500 });

export function decisionFabricSuite(open: () => Database): void {
  let gate: FakeGate;
  let features: FakeFeatures;
  let ladder: FakeLadder;
  let clock: ManualClock;
  let store: DecisionFabricStore;
  let telemetry: RecordedTelemetry;
  let scenario = 0;

  beforeEach(async () => {
    await open().query('delete from positions');
    await open().query('delete from invalid');
    scenario += 1;
    clock = new ManualClock();
    [gate, features, ladder] = [new FakeGate(), new FakeFeatures(), new FakeLadder(clock)];
    store = new DecisionFabricStore(open());
  });

  /** What it noted in memory is gone with it. */
  function life(rules: SealedPolicy = shipped('df.rules')) {
    const opened = fabricLife({ gate, ladder, features, store, clock }, engineOf({ rules }));
    telemetry = opened.telemetry;
    return opened;
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
      const { consumer } = life();
      await consumer.take(batchOf(follow, 10, 100));
      expect(gate.decisions).toHaveLength(1);
      // A batch that holds nothing costs no commit: the position stands behind the last trigger still.
      expect(await store.positions([log])).toMatchObject([{ offset: 1 }]);
    });

    it('what holds nothing is noted with the next trigger, and at the latest after so many records', async () => {
      const [log, later] = [logOf(1), logOf(1)];
      const { consumer } = life();
      await consumer.take(all(log));
      const [text] = [...gate.admitted.values()].map((admitted) => admitted.text);
      const passBy = async (from: number, count: number): Promise<void> => {
        const records = Array.from({ length: count }, (_, at) => recordOf(text ?? '', from + at));
        await consumer.take(batchOf({ ...log, records }, from, from + count));
      };
      await passBy(1, PASSED_BY_MAX);
      expect(await store.positions([log])).toMatchObject([{ offset: 1 }]);
      await passBy(1 + PASSED_BY_MAX, 1);
      expect(await store.positions([log])).toMatchObject([{ offset: 2 + PASSED_BY_MAX }]);
      await passBy(2 + PASSED_BY_MAX, 10);
      const at = 12 + PASSED_BY_MAX;
      const records = later.records.map((one) => ({ ...one, offset: at as Offset }));
      await consumer.take(batchOf({ ...log, records }, at, at + 1));
      expect(await store.positions([log])).toMatchObject([{ offset: at + 1 }]);
    });

    it('a batch that was half done behind what was passed by is found again: nothing is decided twice', async () => {
      const [log, later] = [logOf(1), logOf(3)];
      const first = life();
      await first.consumer.take(all(log));
      const [text] = [...gate.admitted.values()].map((admitted) => admitted.text);
      const nothing = Array.from({ length: PASSED_BY_MAX }, (_, at) => recordOf(text ?? '', 1 + at));
      const passed = batchOf({ ...log, records: nothing }, 1, 1 + PASSED_BY_MAX);
      const records = later.records.map((one, at) => ({ ...one, offset: (1 + PASSED_BY_MAX + at) as Offset }));
      const half = batchOf({ ...log, records }, 1 + PASSED_BY_MAX, 4 + PASSED_BY_MAX);
      await first.consumer.take(passed);
      await first.consumer.take(half);
      const decided = gate.decisions.length;
      // The life that ends before its commit: the gate has the decisions, and the position was never noted.
      await open().query('update positions set next_offset = 1 where partition = $1', [log.partition]);
      const second = life();
      const [position] = await second.positions.positions([log]);
      expect(position?.offset).toBe(1);
      const asked = gate.receiptCalls;
      await second.consumer.take(passed);
      await second.consumer.take(half);
      expect(gate.receiptCalls).toBe(asked + 1);
      expect(gate.decisions).toHaveLength(decided);
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

    it('the gate is asked for earlier decisions only within one batch and what was passed by behind a start, so that the hot path pays nothing', async () => {
      const { consumer, positions } = life();
      const log = logOf(3);
      await positions.positions([log]);
      await consumer.take(all(log));
      expect(gate.receiptCalls).toBe(1);
      positions.passed(log, SUSPICIOUS_MAX);
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

  masksSuite(
    () => ({ gate, ladder, features, store, clock }),
    () => all(logOf(1)),
  );
  graphSuite(
    () => ({ gate, ladder, features, store, clock }),
    () => all(logOf(1)),
  );

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
