import { beforeEach, describe, expect, it } from '@jest/globals';
import type { ActionsPolicy } from '../../src/modules/actions-layer/actions-layer.policy.js';
import { ActionsLayerStore } from '../../src/modules/actions-layer/actions-layer.store.js';
import { digestCanonical } from '../../src/rails/canonical-json.js';
import { type ActionOutcome, ActionOutcomeSchema } from '../../src/rails/events/action-outcome.schema.js';
import { validatorOf } from '../../src/rails/validator.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import type { Database } from '../../src/substrate/database/database.port.js';
import {
  ALLOW,
  batch,
  envelope,
  type Intent,
  intent,
  pins,
  ToldGate,
  type Worker,
  workerOf,
} from './actions-layer.kit.js';
import { TRAFFIC } from './feature-plane.kit.js';

export function actionsLayerSuite(open: () => Database): void {
  let store: ActionsLayerStore;
  let gate: ToldGate;
  let clock: ManualClock;
  let worker: Worker;

  beforeEach(async () => {
    await open().query('delete from outbox');
    await open().query('delete from positions');
    store = new ActionsLayerStore(open());
    gate = new ToldGate();
    clock = new ManualClock();
  });

  function life(policy: ActionsPolicy = ALLOW): Worker {
    worker = workerOf({ database: open(), clock, gate, policy });
    return worker;
  }

  const effects = async (one: Intent): Promise<number> => {
    const { rows } = await open().query<{ n: number }>(
      `select ((select count(*) from dispositions where target_id = $1) + (select count(*) from case_queue where target_id = $1))::integer as n`,
      [one.target.id],
    );
    return rows[0]?.n ?? -1;
  };
  const outcomes = (): readonly ActionOutcome[] => gate.outcomes();

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
      expect(worker.logs().map(({ event }) => event)).not.toContain('al_batch');
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
      expect(worker.logs().map(({ event }) => event)).toContain('al_outcome_quarantined');
    });
  });

  it('a batch that holds nothing costs no commit: its position is noted with the next intent, and at the latest after so many records', async () => {
    const { consumer } = life();
    const other = envelope(intent()).replace('"event_type":"action_intent"', '"event_type":"decision"');
    const at = async (): Promise<number | undefined> =>
      (await store.positions([{ topic: TRAFFIC, partition: 0 }]))[0]?.offset;
    await consumer.take(batch(other));
    expect(await at()).toBeUndefined();
    await consumer.take(batch(other, envelope(intent())));
    expect(await at()).toBe(2);
    await consumer.take(batch(...Array.from({ length: 1_000 }, () => other)));
    expect(await at()).toBe(2);
    await consumer.take(batch(...Array.from({ length: 1_001 }, () => other)));
    expect(await at()).toBe(1_001);
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
