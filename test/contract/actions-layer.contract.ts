import { beforeEach, describe, expect, it } from '@jest/globals';
import { ActionsLayerConsumer } from '../../src/modules/actions-layer/actions-layer.consumer.js';
import { type ActionsPolicy, ACTIONS_POLICY } from '../../src/modules/actions-layer/actions-layer.policy.js';
import { ActionSignals } from '../../src/modules/actions-layer/actions-layer.signals.js';
import { ActionsLayerStore } from '../../src/modules/actions-layer/actions-layer.store.js';
import { OutcomePublisher } from '../../src/modules/actions-layer/outcome.publisher.js';
import { IngestionGatePort } from '../../src/modules/ingestion-gate/ingestion-gate.port.js';
import { systemActor } from '../../src/rails/actor.js';
import { canonicalJson, digestCanonical } from '../../src/rails/canonical-json.js';
import { digestText } from '../../src/rails/digest.js';
import { ProbityError } from '../../src/rails/errors/probity-error.js';
import { type ActionOutcome, ActionOutcomeSchema } from '../../src/rails/events/action-outcome.schema.js';
import { sealPolicy } from '../../src/rails/policy-rev.js';
import { validatorOf } from '../../src/rails/validator.js';
import type { Offset, RecordBatch } from '../../src/substrate/bus/bus.port.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import type { Database } from '../../src/substrate/database/database.port.js';
import { StaticPolicies } from '../../src/substrate/policy/policy.port.js';
import { recordedTelemetry } from '../support/telemetry.js';
import { recordOf, runPins, TRAFFIC } from './feature-plane.kit.js';

const ALLOW: ActionsPolicy = {
  posture: 'NORMAL',
  kill_switches: [],
  rules: [
    { id: 'record', effect: 'allow', origins: ['DF'], scope: 'payment', action_type: 'record' },
    { id: 'all', effect: 'allow', scope: '*', action_type: '*' },
  ],
};

/** A gate that keeps what it was told. */
class ToldGate extends IngestionGatePort {
  readonly told: string[] = [];
  answer: 'ADMIT' | 'QUARANTINE' | 'down' | 'lost' = 'ADMIT';

  submit({ events }: { events: string[] }) {
    if (this.answer === 'down') return Promise.reject(new ProbityError('IG_LEDGER_UNHEALTHY', 'down'));
    this.told.push(...events);
    if (this.answer === 'lost') return Promise.reject(new ProbityError('RPC_DEADLINE_EXCEEDED', 'lost'));
    const decision = this.answer;
    const reason_codes = decision === 'QUARANTINE' ? ['SCHEMA_FAIL'] : [];
    return Promise.resolve({
      results: events.map(() => ({ decision, receipt_id: digestText('r'), reason_codes, retryable: false })) as never,
    });
  }
  receipts(): never {
    throw new Error('nobody asks here');
  }
  reconcile(): never {
    throw new Error('nobody asks here');
  }
}

export function actionsLayerSuite(open: () => Database): void {
  let store: ActionsLayerStore;
  let gate: ToldGate;
  let clock: ManualClock;
  let telemetry: ReturnType<typeof recordedTelemetry>;
  let number = 0;

  beforeEach(async () => {
    await open().query('delete from outbox');
    await open().query('delete from positions');
    store = new ActionsLayerStore(open());
    gate = new ToldGate();
    clock = new ManualClock();
  });

  function life(policy: ActionsPolicy = ALLOW) {
    telemetry = recordedTelemetry();
    const sealed = sealPolicy('al.actions', 1, policy as never);
    const policies = new StaticPolicies(new Map([[ACTIONS_POLICY.policy_id, sealed]]));
    const signals = new ActionSignals(telemetry.telemetry);
    const publisher = new OutcomePublisher(store, gate, signals, clock, telemetry.telemetry);
    return {
      publisher,
      consumer: new ActionsLayerConsumer(store, policies, publisher, signals, clock, telemetry.telemetry),
    };
  }

  /** An intent that no other test has: what is taken stays taken. */
  function intent(change: object = {}) {
    number += 1;
    const id = `${Date.now()}-${number}`;
    return {
      action_domain: 'txn_disposition',
      action_type: 'record',
      action_key: 'primary',
      idempotency_key: digestText(`key ${id}`),
      target: { type: 'transaction', id: `p-${id}` },
      decision_id: digestText(`decision ${id}`),
      scope: 'payment',
      entity_key: 'card-1',
      origin: 'DF',
      actor: systemActor('df'),
      outcome: 'DECLINE',
      reason_codes: ['COUNTRY_BLOCKED'],
      policy_rev: sealPolicy('df.decision', 1, {}).policy_rev,
      ...change,
    };
  }
  type Intent = ReturnType<typeof intent>;

  const pins = runPins('actions');
  const envelope = (one: Intent): string =>
    canonicalJson({
      ...pins,
      event_id: one.idempotency_key,
      event_type: 'action_intent',
      schema_version: 'v1',
      producer: 'decision-fabric',
      ts_utc: '2018-04-01T00:00:31.000000Z',
      payload: one,
    });
  const batch = (...texts: readonly string[]): RecordBatch => ({
    topic: TRAFFIC,
    partition: 0,
    records: texts.map((text, offset) => recordOf(text, offset)),
    nextOffset: texts.length as Offset,
    highWater: texts.length as Offset,
  });
  const effects = async (one: Intent): Promise<number> => {
    const { rows } = await open().query<{ n: number }>(
      `select ((select count(*) from dispositions where target_id = $1) + (select count(*) from case_queue where target_id = $1))::integer as n`,
      [one.target.id],
    );
    return rows[0]?.n ?? -1;
  };
  const outcomes = (): readonly ActionOutcome[] =>
    gate.told.map((text) => (JSON.parse(text) as { payload: ActionOutcome }).payload);

  describe('an effect', () => {
    it('is there once with its outcome, which is told once through the gate', async () => {
      const { consumer, publisher } = life();
      const [one, two] = [intent(), intent({ action_type: 'case_queue', action_domain: 'case_queue' })];
      await consumer.take(batch(envelope(one), envelope(two)));
      expect([await effects(one), await effects(two)]).toEqual([1, 1]);
      expect(await publisher.round()).toBe(2);
      expect(await publisher.round()).toBe(0);
      const check = validatorOf(ActionOutcomeSchema, 'the outcome');
      for (const outcome of outcomes()) expect(check.check(outcome)).toMatchObject({ ok: true });
      expect(outcomes()[0]).toMatchObject({
        status: 'EXECUTED',
        idempotency_key: one.idempotency_key,
        decision_id: one.decision_id,
        attempt_no: 1,
        matched_rule_id: 'record',
        entity_key: 'card-1',
      });
      expect(await store.action(one.idempotency_key)).toMatchObject({ status: 'EXECUTED', published: true });
      expect(await store.positions([{ topic: TRAFFIC, partition: 0 }])).toMatchObject([{ offset: 2 }]);
    });

    it('is there once however often it is asked for: in one batch, in another, by another process, at once', async () => {
      const one = intent();
      await life().consumer.take(batch(envelope(one), envelope(one)));
      await life().consumer.take(batch(envelope(one)));
      const two = intent();
      const both = await Promise.allSettled([
        life().consumer.take(batch(envelope(two))),
        life().consumer.take(batch(envelope(two))),
      ]);
      // One of the two may lose the race and see its batch again.
      for (const { status } of both) if (status === 'rejected') await life().consumer.take(batch(envelope(two)));
      expect([await effects(one), await effects(two)]).toEqual([1, 1]);
      await life().publisher.round();
      expect(outcomes().map(({ idempotency_key }) => idempotency_key)).toEqual([
        one.idempotency_key,
        two.idempotency_key,
      ]);
    });

    it('stays what it was, whatever the policy says by now', async () => {
      const one = intent();
      await life().consumer.take(batch(envelope(one)));
      await life({ ...ALLOW, posture: 'KILL' }).consumer.take(batch(envelope(one)));
      await life().publisher.round();
      expect(outcomes()).toMatchObject([{ status: 'EXECUTED' }]);
    });

    it('with other content under its key is a conflict: the first stands, nothing follows from the second', async () => {
      const one = intent();
      const other = { ...one, outcome: 'APPROVE' as never };
      await life().consumer.take(batch(envelope(one)));
      await life().consumer.take(batch(envelope(other)));
      await life().publisher.round();
      expect(outcomes()).toHaveLength(1);
      const { rows } = await open().query('select outcome from dispositions where target_id = $1', [one.target.id]);
      expect(rows).toEqual([{ outcome: 'DECLINE' }]);
      const kept = await open().query('select 1 from conflicts where record_offset = 0');
      expect(kept.rows.length).toBeGreaterThan(0);
      expect(telemetry.lines().map(({ event }) => event)).not.toContain('al_batch');
    });

    it('is not there where the transaction failed: neither effect nor outcome nor position', async () => {
      const [one, two] = [intent(), intent()];
      const key = digestCanonical({ pins, idempotency_key: two.idempotency_key });
      // Something stands where the second effect belongs: the database refuses it, and all of the batch with it.
      await open().query(
        `insert into dispositions (semantic_key, run_id, target_type, target_id, decision_id, outcome, reason_codes, recorded_at)
         values ($1, 'r', 't', 'elsewhere', 'd', 'APPROVE', '[]', now())`,
        [key],
      );
      await expect(life().consumer.take(batch(envelope(one), envelope(two)))).rejects.toMatchObject({
        code: expect.stringMatching(/^DATABASE_/),
      });
      expect(await effects(one)).toBe(0);
      expect(await store.action(one.idempotency_key)).toBeNull();
      expect(await store.positions([{ topic: TRAFFIC, partition: 0 }])).toEqual([]);
    });
  });

  describe('who may', () => {
    it.each([
      ['a kill switch', { kill_switches: ['record'] }, 'KILL_SWITCH_ACTIVE', undefined],
      ['the posture KILL', { posture: 'KILL' as const }, 'KILL_SWITCH_ACTIVE', undefined],
      [
        'a rule that denies, before any that allows',
        { rules: [...ALLOW.rules, { id: 'no', effect: 'deny' as const, scope: 'pay*', action_type: 'rec*' }] },
        'EXPLICITLY_DENIED_BY_POLICY',
        'no',
      ],
      ['no rule at all', { rules: [] }, 'DEFAULT_DENY', undefined],
      [
        'a rule for somebody else',
        { rules: [{ id: 'case', effect: 'allow' as const, origins: ['CASE' as const], scope: '*', action_type: '*' }] },
        'DEFAULT_DENY',
        undefined,
      ],
    ])('%s: DENIED with its reason, nothing done, and told', async (_, change, reason, rule) => {
      const one = intent();
      const { consumer, publisher } = life({ ...ALLOW, ...change });
      await consumer.take(batch(envelope(one)));
      await publisher.round();
      expect(outcomes()).toMatchObject([{ status: 'DENIED', reason_codes: [reason], attempt_no: 0 }]);
      expect(outcomes()[0]?.matched_rule_id).toBe(rule);
      expect(await effects(one)).toBe(0);
    });

    it('the most specific rule is the one that is cited', async () => {
      const { consumer, publisher } = life({ ...ALLOW, rules: ALLOW.rules.toReversed() });
      await consumer.take(batch(envelope(intent())));
      await publisher.round();
      expect(outcomes()).toMatchObject([{ matched_rule_id: 'record' }]);
    });

    it('a type that no effector can do is denied, though a rule allows everything: nobody is told of what was not done', async () => {
      const one = intent({ action_type: 'transfer_back' });
      const { consumer, publisher } = life();
      await consumer.take(batch(envelope(one)));
      await publisher.round();
      expect(outcomes()).toMatchObject([{ status: 'DENIED', reason_codes: ['DEFAULT_DENY'] }]);
    });

    it('while it drains nothing new is begun, and what is done is still told', async () => {
      const [done, later] = [intent(), intent()];
      await life().consumer.take(batch(envelope(done)));
      const { consumer, publisher } = life({ ...ALLOW, posture: 'DRAIN' });
      await expect(consumer.take(batch(envelope(later)))).rejects.toMatchObject({ code: 'AL_DRAINING' });
      expect(await effects(later)).toBe(0);
      expect(await publisher.round()).toBe(1);
    });
  });

  describe('telling', () => {
    it('is tried again with the same bytes while the gate is away or its answer is lost, and does nothing again', async () => {
      const one = intent();
      const { consumer, publisher } = life();
      await consumer.take(batch(envelope(one)));
      gate.answer = 'down';
      await expect(publisher.round()).rejects.toMatchObject({ code: 'IG_LEDGER_UNHEALTHY' });
      gate.answer = 'lost';
      await expect(publisher.round()).rejects.toMatchObject({ code: 'RPC_DEADLINE_EXCEEDED' });
      gate.answer = 'ADMIT';
      await clock.advance(60_000);
      expect(await life().publisher.round()).toBe(1);
      expect(gate.told).toHaveLength(2);
      expect(gate.told[0]).toBe(gate.told[1]);
      expect(await effects(one)).toBe(1);
    });

    it('of an outcome that the gate quarantines stops there, loudly', async () => {
      const { consumer, publisher } = life();
      await consumer.take(batch(envelope(intent())));
      gate.answer = 'QUARANTINE';
      await publisher.round();
      gate.answer = 'ADMIT';
      expect(await publisher.round()).toBe(0);
      expect(await store.outbox()).toMatchObject({ waiting: 0, quarantined: 1 });
      expect(telemetry.lines().map(({ event }) => event)).toContain('al_outcome_quarantined');
    });
  });

  it('what is no intent is passed by, and kept with its reason', async () => {
    const one = intent();
    const halved = envelope(one).replace('"action_key":"primary",', '');
    await life().consumer.take(batch('{"broken', halved, envelope(intent())));
    const { rows } = await open().query('select reason from refused order by record_offset');
    expect(rows).toEqual([{ reason: 'ENVELOPE_PARSE_FAILED' }, { reason: 'SEMANTIC_KEY_INCOMPLETE' }]);
    expect(await effects(one)).toBe(0);
    expect(await store.positions([{ topic: TRAFFIC, partition: 0 }])).toMatchObject([{ offset: 3 }]);
  });
}
