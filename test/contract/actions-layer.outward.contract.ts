import { createHmac } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { ActionsPolicy } from '../../src/modules/actions-layer/actions-layer.policy.js';
import { ActionsLayerStore } from '../../src/modules/actions-layer/actions-layer.store.js';
import type { Resolve } from '../../src/modules/actions-layer/outward/address-guard.js';
import type { Target } from '../../src/modules/actions-layer/outward/targets.schema.js';
import { WorkStore } from '../../src/modules/actions-layer/outward/work.store.js';
import { type ActionOutcome, ActionOutcomeSchema } from '../../src/rails/events/action-outcome.schema.js';
import { fromEpochMs } from '../../src/rails/time.js';
import { validatorOf } from '../../src/rails/validator.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import type { Database } from '../../src/substrate/database/database.port.js';
import { eventually } from '../support/eventually.js';
import {
  ALLOW,
  batch,
  envelope,
  HeldSecrets,
  type Intent,
  intent,
  isGenuine,
  type Manner,
  Receiver,
  SIGNING,
  targetAt,
  ToldGate,
  type Worker,
  workerOf,
} from './actions-layer.kit.js';

const TYPE = 'webhook.shop';

/** Effects outside this database, counted where they happen. */
export function outwardActionsSuite(open: () => Database): void {
  let receiver: Receiver;
  let gate: ToldGate;
  let clock: ManualClock;
  let secrets: HeldSecrets;
  let store: ActionsLayerStore;
  let work: WorkStore;
  let workers: Worker[];

  beforeAll(async () => {
    receiver = await new Receiver().open();
  });
  afterAll(async () => {
    await receiver.close();
  });
  beforeEach(async () => {
    await open().query('delete from outbox');
    await open().query('delete from positions');
    await open().query('delete from work');
    receiver.forget();
    gate = new ToldGate();
    clock = new ManualClock();
    secrets = new HeldSecrets();
    store = new ActionsLayerStore(open());
    work = new WorkStore(open());
    workers = [];
  });
  afterEach(() => {
    for (const worker of workers) worker.close();
  });

  function life(target: Partial<Target> = {}, policy: Partial<ActionsPolicy> = {}, resolve?: Resolve): Worker {
    const worker = workerOf({
      database: open(),
      clock,
      gate,
      secrets,
      policy: { ...ALLOW, targets: { shop: targetAt(receiver.port, target) }, ...policy },
      // The longest wait there is, always: waits are known then.
      random: () => 0.999_999,
      ...(resolve === undefined ? {} : { resolve }),
    });
    workers.push(worker);
    return worker;
  }

  const asked = (change: object = {}): Intent => intent({ action_type: TYPE, ...change });
  const take = async (...intents: readonly Intent[]): Promise<void> => {
    await life().consumer.take(batch(...intents.map((one) => envelope(one))));
  };
  const told = async (): Promise<readonly ActionOutcome[]> => {
    await life().publisher.round();
    return gate.outcomes();
  };
  const journal = async (one: Intent): Promise<readonly string[]> => {
    const row = await store.action(one.idempotency_key);
    const attempts = await work.attempts(row?.semantic_key ?? '');
    return attempts.map(
      ({ attempt_no, step, reason }) => `${attempt_no} ${step}${reason === null ? '' : ` ${reason}`}`,
    );
  };
  /** Turns the executor until nothing is due any more, letting the waits pass. */
  const untilEnded = async ({ executor }: Worker, one: Intent): Promise<void> => {
    for (let n = 0; n < 20; n += 1) {
      await executor.round('shop');
      if (((await store.action(one.idempotency_key))?.outcome_id ?? null) !== null) return;
      await clock.advance(10_000);
    }
    throw new Error('it has no end');
  };
  /** An attempt at which the receiver falls silent, ended by its time-out. */
  const unanswered = async ({ executor }: Worker): Promise<void> => {
    const arrival = receiver.arrival();
    const round = executor.round('shop');
    await arrival;
    await clock.advance(1_000);
    await round;
    // The round may have ended a moment before the attempt has; the next one tells of it.
    await executor.round('shop');
  };
  /** What was answered has been read by then, on any machine that is not asleep. */
  const settled = (): Promise<void> =>
    eventually(
      () => receiver.answered,
      (count) => count >= 4,
      10_000,
    ).then(() => undefined);
  const deliveriesOf = (one: Intent): number =>
    receiver.deliveries.filter(({ id }) => id === one.idempotency_key).length;

  describe('an effect outside', () => {
    it('is taken, attempted once, and told when it is known, and not before', async () => {
      const one = asked();
      await take(one);
      expect(await told()).toEqual([]);
      expect(await store.action(one.idempotency_key)).toMatchObject({ status: 'ACTIVE', outcome_id: null });
      expect(await life().executor.round('shop')).toBe(1);
      const [outcome, ...others] = await told();
      expect(others).toEqual([]);
      expect(validatorOf(ActionOutcomeSchema, 'the outcome').check(outcome)).toMatchObject({ ok: true });
      expect(outcome).toMatchObject({
        status: 'EXECUTED',
        idempotency_key: one.idempotency_key,
        attempt_no: 1,
        reason_codes: [],
        matched_rule_id: 'all',
        effector_ref: 'receipt-1',
      });
      expect(await journal(one)).toEqual(['1 STARTED', '1 COMMITTED']);
      expect([deliveriesOf(one), receiver.effects.get(one.idempotency_key)]).toEqual([1, 1]);
      expect(await work.backlog()).toEqual({ work: [] });
    });

    it('is signed over its name, its time and its body, so that a changed byte shows', async () => {
      const one = asked();
      await take(one);
      await life().executor.round('shop');
      const [delivery] = receiver.deliveries;
      expect(delivery).toMatchObject({ id: one.idempotency_key, genuine: true });
      const data = (JSON.parse(delivery?.body ?? '') as { data: object }).data;
      expect(data).toMatchObject({ decision_id: one.decision_id, target: one.target, outcome: 'DECLINE' });
      expect(delivery?.body).not.toContain(one.entity_key);
      // The twin: the same headers do not cover another body.
      const headers = { 'webhook-id': 'a', 'webhook-timestamp': '1' };
      const key = Buffer.from(SIGNING.slice('whsec_'.length), 'base64');
      const signature = `v1,${createHmac('sha256', key).update('a.1.body').digest('base64')}`;
      expect(isGenuine({ ...headers, 'webhook-signature': signature }, 'body')).toBe(true);
      expect(isGenuine({ ...headers, 'webhook-signature': signature }, 'bodY')).toBe(false);
    });

    it('is had once, however often it is asked for, before, during and after', async () => {
      const one = asked();
      await take(one, one);
      await take(one);
      const arrival = receiver.arrival();
      receiver.manners = ['silent after'];
      const { executor } = life();
      const round = executor.round('shop');
      await arrival;
      await take(one);
      expect(await life().executor.round('shop')).toBe(0);
      await clock.advance(1_000);
      await round;
      await untilEnded(life(), one);
      await take(one);
      expect(await life().executor.round('shop')).toBe(0);
      expect(receiver.effects.get(one.idempotency_key)).toBe(1);
      expect(await told()).toHaveLength(1);
    });

    it('waits for no other: one that is silent holds up nobody, and is told when it ends', async () => {
      const many = Array.from({ length: 5 }, () => asked());
      await take(...many);
      const { executor } = life();
      receiver.manners = ['silent after'];
      // In steps of the moment that those which have ended wait for others: long before the silent one's time is over.
      for (let n = 0; n < 10 && (await told()).length < 4; n += 1) {
        const round = executor.round('shop');
        await settled();
        await clock.advance(50);
        expect(await round).toBeGreaterThan(0);
      }
      const outcomes = await told();
      expect(outcomes.map(({ status, attempt_no }) => [status, attempt_no])).toEqual(Array(4).fill(['EXECUTED', 1]));
      await clock.advance(1_000);
      await executor.round('shop');
      await clock.advance(10_000);
      await executor.round('shop');
      expect(await told()).toHaveLength(5);
      expect(receiver.effects.size).toBe(5);
    });

    it('is attempted by one of two workers', async () => {
      const many = Array.from({ length: 40 }, () => asked());
      await take(...many);
      const both = [life(), life()];
      for (let n = 0; n < 4; n += 1) await Promise.all(both.map(({ executor }) => executor.round('shop')));
      expect(receiver.deliveries).toHaveLength(40);
      expect(receiver.effects.size).toBe(40);
      const outcomes = await told();
      expect(new Set(outcomes.map(({ idempotency_key }) => idempotency_key)).size).toBe(40);
      expect(outcomes.every(({ status, attempt_no }) => status === 'EXECUTED' && attempt_no === 1)).toBe(true);
    });

    it('goes on as it was taken, whatever the policy says by now of who may', async () => {
      const one = asked();
      await take(one);
      const denying = { ...ALLOW, rules: [] };
      await life({}, { rules: denying.rules }).consumer.take(batch(envelope(one)));
      await life({}, { rules: denying.rules }).executor.round('shop');
      expect(await told()).toMatchObject([{ status: 'EXECUTED', matched_rule_id: 'all' }]);
    });
  });

  describe('an answer that does not come', () => {
    it.each([
      ['before the effect', 'silent before', 0],
      ['after the effect', 'silent after', 1],
    ] as const)(
      '%s leaves it in doubt, and another attempt under the same name ends it',
      async (_, manner, effects) => {
        const one = asked();
        await take(one);
        receiver.manners = [manner];
        await unanswered(life());
        expect([...receiver.effects.values()]).toHaveLength(effects);
        expect(await told()).toEqual([]);
        expect(await journal(one)).toEqual(['1 STARTED', '1 UNKNOWN UNCERTAIN_COMMIT']);
        await untilEnded(life(), one);
        expect(await told()).toMatchObject([{ status: 'EXECUTED', attempt_no: 2 }]);
        expect([deliveriesOf(one), receiver.effects.get(one.idempotency_key)]).toEqual([2, 1]);
      },
    );

    it('is asked for where the target can be asked, and what was done is not sent again', async () => {
      const asking = { status_url: `http://127.0.0.1:${receiver.port}/effects/{key}` };
      const one = asked();
      await take(one);
      receiver.manners = ['silent after'];
      await unanswered(life(asking));
      await untilEnded(life(asking), one);
      expect(await told()).toMatchObject([{ status: 'EXECUTED', attempt_no: 2 }]);
      expect(await journal(one)).toContain('2 COMMITTED FOUND_BY_STATUS');
      expect([deliveriesOf(one), receiver.asked]).toEqual([1, [one.idempotency_key]]);
    });

    it('and what the target knows nothing of is sent again', async () => {
      const asking = { status_url: `http://127.0.0.1:${receiver.port}/effects/{key}` };
      const one = asked();
      await take(one);
      receiver.manners = ['silent before'];
      await unanswered(life(asking));
      await untilEnded(life(asking), one);
      expect([deliveriesOf(one), receiver.asked]).toEqual([2, [one.idempotency_key]]);
      expect(receiver.effects.get(one.idempotency_key)).toBe(1);
    });

    it('to the last attempt is told as uncertain, never as done', async () => {
      const one = asked();
      await take(one);
      receiver.manners = ['silent after', 'silent after', 'silent after'];
      for (let n = 0; n < 3; n += 1) {
        await unanswered(life());
        await clock.advance(10_000);
      }
      expect(await told()).toMatchObject([
        { status: 'FAILED', reason_codes: ['UNCERTAIN_COMMIT', 'RETRIES_EXHAUSTED'], attempt_no: 3, retryable: false },
      ]);
      expect(receiver.effects.get(one.idempotency_key)).toBe(1);
    });

    it('to the last attempt is asked for once more where one can, and found', async () => {
      const asking = {
        status_url: `http://127.0.0.1:${receiver.port}/effects/{key}`,
        retry: { attempts_max: 1, first_wait_ms: 100, wait_max_ms: 100, give_up_after_s: 3_600 },
      };
      const one = asked();
      await take(one);
      receiver.manners = ['silent after'];
      await unanswered(life(asking));
      await untilEnded(life(asking), one);
      expect(await told()).toMatchObject([{ status: 'EXECUTED' }]);
      expect(deliveriesOf(one)).toBe(1);
    });
  });

  describe('a worker that dies', () => {
    const died = async (sent: boolean, one: Intent): Promise<string> => {
      await take(one);
      const permit = '00000000-0000-4000-8000-00000000dead';
      const now = fromEpochMs(clock.nowMs());
      await work.claim('shop', 10, { permit, now, leaseUntil: fromEpochMs(clock.nowMs() + 5_000) });
      if (sent) receiver.effects.set(one.idempotency_key, 1);
      return permit;
    };

    it.each([
      ['before anything left', false],
      ['when the effect was had', true],
    ])('%s is followed by another under the same name, when its lease is over', async (_, sent) => {
      const one = asked();
      await died(sent, one);
      expect(await life().executor.round('shop')).toBe(0);
      await clock.advance(5_000);
      expect(await life().executor.round('shop')).toBe(1);
      expect(await journal(one)).toEqual(['1 STARTED', '1 UNKNOWN LEASE_EXPIRED', '2 STARTED', '2 COMMITTED']);
      expect(receiver.effects.get(one.idempotency_key)).toBe(1);
      expect(await told()).toMatchObject([{ status: 'EXECUTED', attempt_no: 2 }]);
    });

    it('leaves it in doubt: a refusal that follows does not mean that nothing was done', async () => {
      const [one, two] = [asked(), asked()];
      await died(true, one);
      await clock.advance(5_000);
      receiver.manners = [400];
      await life().executor.round('shop');
      await died(true, two);
      await clock.advance(5_000);
      await life({ status_url: `http://127.0.0.1:${receiver.port}/effects/{key}` }).executor.round('shop');
      expect(await told()).toMatchObject([
        { status: 'FAILED', reason_codes: ['INVALID_PARAMS', 'UNCERTAIN_COMMIT'], retryable: false },
        { status: 'EXECUTED', attempt_no: 2 },
      ]);
      expect(deliveriesOf(two)).toBe(0);
    });

    it('and tells of it after all, too late, changes nothing', async () => {
      const one = asked();
      const permit = await died(true, one);
      await clock.advance(5_000);
      const arrival = receiver.arrival();
      receiver.manners = ['silent after'];
      const round = life().executor.round('shop');
      await arrival;
      const semanticKey = (await store.action(one.idempotency_key))?.semantic_key ?? '';
      const end = { step: 'NOT_COMMITTED', reason: 'INVALID_PARAMS', final: true, reached: true } as const;
      const then = { dueAt: fromEpochMs(clock.nowMs()), ambiguous: false };
      const late = await work.report([{ semanticKey, permit, attemptNo: 1, end, then }], fromEpochMs(clock.nowMs()));
      expect(late).toEqual([]);
      await clock.advance(1_000);
      await round;
      expect(await journal(one)).not.toContain('1 NOT_COMMITTED INVALID_PARAMS');
      await untilEnded(life(), one);
      expect(await told()).toHaveLength(1);
    });
  });

  describe('what the target says', () => {
    const again = ['RETRIES_EXHAUSTED'];
    it.each<[Manner, number, string, readonly string[], boolean]>([
      [400, 1, 'FAILED', ['INVALID_PARAMS'], false],
      [410, 1, 'FAILED', ['INVALID_PARAMS'], false],
      [{ status: 302, headers: { location: '/elsewhere' } }, 1, 'FAILED', ['INVALID_PARAMS'], false],
      [503, 3, 'FAILED', ['DEPENDENCY_DOWN', ...again], true],
      [429, 3, 'FAILED', ['RATE_LIMITED', ...again], true],
      [500, 3, 'FAILED', ['UNCERTAIN_COMMIT', ...again], false],
      [409, 3, 'FAILED', ['UNCERTAIN_COMMIT', ...again], false],
      [204, 1, 'EXECUTED', [], false],
    ])('%p: %i attempts, %s for %p', async (manner, attempts, status, reason_codes, retryable) => {
      const one = asked();
      await take(one);
      receiver.manners = [manner, manner, manner];
      await untilEnded(life(), one);
      expect(await told()).toMatchObject([{ status, reason_codes, attempt_no: attempts, retryable }]);
      expect(deliveriesOf(one)).toBe(attempts);
      expect(receiver.paths).not.toContain('/elsewhere');
    });

    it('of how long it wants to be left alone is kept to', async () => {
      const one = asked();
      await take(one);
      receiver.manners = [{ status: 429, headers: { 'retry-after': '7' } }];
      await life().executor.round('shop');
      await clock.advance(6_999);
      expect(await life().executor.round('shop')).toBe(0);
      await clock.advance(1);
      expect(await life().executor.round('shop')).toBe(1);
    });

    it('is nothing when nobody is there: that surely did nothing', async () => {
      const one = asked();
      await take(one);
      const gone = await new Receiver().open();
      const { port } = gone;
      await gone.close();
      await untilEnded(life({ url: `http://127.0.0.1:${port}/hook` }), one);
      expect(await told()).toMatchObject([{ reason_codes: ['DEPENDENCY_DOWN', ...again], retryable: true }]);
    });

    it('opens the breaker when too much of it is bad; then one attempt decides', async () => {
      const breaker = { window: 4, failures_pct: 75, open_ms: 60_000 };
      const worker = life({ breaker });
      await take(...Array.from({ length: 4 }, () => asked()));
      receiver.manners = [503, 503, 503, 503];
      expect(await worker.executor.round('shop')).toBe(4);
      expect(worker.executor.breakers()).toEqual({ shop: 'OPEN' });
      expect(worker.logs().map(({ event }) => event)).toContain('al_breaker_open');
      await clock.advance(59_999);
      expect(await worker.executor.round('shop')).toBe(0);
      await clock.advance(1);
      receiver.manners = [503];
      expect(await worker.executor.round('shop')).toBe(1);
      expect(await worker.executor.round('shop')).toBe(0);
      await clock.advance(60_000);
      expect(await worker.executor.round('shop')).toBe(1);
      expect(worker.executor.breakers()).toEqual({ shop: 'CLOSED' });
      expect(await worker.executor.round('shop')).toBe(3);
      expect(receiver.effects.size).toBe(4);
    });
  });

  describe('what is not attempted', () => {
    it.each<[string, Partial<Target>, Partial<ActionsPolicy>, string]>([
      ['under KILL', {}, { posture: 'KILL' }, 'CANCELLED_BY_POSTURE'],
      ['of a type that is switched off', {}, { kill_switches: [TYPE] }, 'CANCELLED_BY_POSTURE'],
      ['of a target that is gone', {}, { targets: {} }, 'INVALID_PARAMS'],
    ])('%s is ended, visibly', async (_, target, policy, reason) => {
      const one = asked();
      await take(one);
      const worker = life(target, policy);
      await worker.executor.round('shop');
      expect(await worker.executor.endWaiting()).toBe(1);
      expect(await told()).toMatchObject([{ status: 'FAILED', reason_codes: [reason], attempt_no: 0 }]);
      expect(receiver.deliveries).toEqual([]);
      expect(await worker.executor.endWaiting()).toBe(0);
    });

    it('before its time is over is ended then, and what may have been done says so', async () => {
      const [one, two] = [asked(), asked()];
      await take(one);
      receiver.manners = ['silent before'];
      await unanswered(life());
      await take(two);
      const held = life({}, { posture: 'DRAIN' });
      await clock.advance(3_600_000 + 1_000);
      expect(await held.executor.endWaiting()).toBe(2);
      const outcomes = new Map((await told()).map((outcome) => [outcome.idempotency_key as string, outcome]));
      expect(outcomes.get(one.idempotency_key)).toMatchObject({
        reason_codes: ['DEPENDENCY_DOWN', 'UNCERTAIN_COMMIT'],
      });
      expect(outcomes.get(two.idempotency_key)).toMatchObject({ reason_codes: ['DEPENDENCY_DOWN'], retryable: true });
    });

    it('while it drains waits, and what is done is told', async () => {
      const [done, later] = [asked(), asked()];
      await take(done);
      await life().executor.round('shop');
      await take(later);
      const draining = life({}, { posture: 'DRAIN' });
      expect(await draining.executor.round('shop')).toBe(0);
      expect(await draining.executor.endWaiting()).toBe(0);
      expect(await draining.publisher.round()).toBe(1);
      expect(deliveriesOf(later)).toBe(0);
      expect(await store.action(later.idempotency_key)).toMatchObject({ status: 'ACTIVE' });
    });

    it.each<[string, Partial<Target>, string]>([
      ['of a target that cannot be asked twice', { deduplicates: false }, TYPE],
      ['of a target that nobody named', {}, 'webhook.nobody'],
    ])('%s is denied', async (_, target, action_type) => {
      const one = asked({ action_type });
      await life(target).consumer.take(batch(envelope(one)));
      expect(await told()).toMatchObject([{ status: 'DENIED', reason_codes: ['DEFAULT_DENY'], attempt_no: 0 }]);
      expect(receiver.deliveries).toEqual([]);
    });
  });

  describe('an address of the inside', () => {
    const guarded = { allow_private: false };
    const inside = (host: string): Partial<Target> => ({ ...guarded, url: `http://${host}:${receiver.port}/hook` });
    it.each(['127.0.0.1', '[::1]', '0x7f.1', '2130706433', '[::ffff:127.0.0.1]', '[64:ff9b::7f00:1]', '0.0.0.0'])(
      '%s is not spoken to',
      async (host) => {
        const one = asked();
        await take(one);
        await untilEnded(life(inside(host)), one);
        expect(await told()).toMatchObject([{ status: 'FAILED', reason_codes: ['INVALID_PARAMS'] }]);
        expect(receiver.deliveries).toEqual([]);
      },
    );

    it('behind a name is not spoken to either, if only one of its addresses is inside', async () => {
      const one = asked();
      await take(one);
      const resolve: Resolve = () =>
        Promise.resolve([
          { address: '93.184.215.14', family: 4 },
          { address: '127.0.0.1', family: 4 },
        ]);
      await untilEnded(life(inside('shop.example'), {}, resolve), one);
      expect(await told()).toMatchObject([{ status: 'FAILED', reason_codes: ['INVALID_PARAMS'] }]);
      expect(receiver.deliveries).toEqual([]);
    });

    it('is spoken to where the policy says that it may', async () => {
      const one = asked();
      await take(one);
      await untilEnded(life({ ...inside('127.0.0.1'), allow_private: true }), one);
      expect(await told()).toMatchObject([{ status: 'EXECUTED' }]);
    });
  });

  it('tells its outcome in the same bytes until the gate has it, and does nothing again', async () => {
    const one = asked();
    await take(one);
    await life().executor.round('shop');
    gate.answer = 'lost';
    await expect(life().publisher.round()).rejects.toMatchObject({ code: 'RPC_DEADLINE_EXCEEDED' });
    gate.answer = 'ADMIT';
    await clock.advance(60_000);
    expect(await life().executor.round('shop')).toBe(0);
    await life().publisher.round();
    expect(gate.told).toHaveLength(2);
    expect(gate.told[0]).toBe(gate.told[1]);
    expect(deliveriesOf(one)).toBe(1);
  });

  it('keeps secrets to itself: no row, no log and no error holds one', async () => {
    const token = 'a-path-that-lets-people-in';
    secrets.held['ADDRESS'] = `http://127.0.0.1:${receiver.port}/${token}`;
    const hidden: Partial<Target> = { url: { env: 'ADDRESS' } };
    const [one, two] = [asked(), asked()];
    await take(one, two);
    const worker = life(hidden);
    receiver.manners = [500, 400];
    await worker.executor.round('shop');
    secrets.held['ADDRESS'] = 'no address';
    await clock.advance(10_000);
    await worker.executor.round('shop');
    expect(receiver.paths).toEqual([`/${token}`, `/${token}`]);
    const tables = ['intents', 'outcomes', 'outbox', 'work', 'attempts', 'refused'];
    const kept = await Promise.all(
      tables.map(async (table) => JSON.stringify((await open().query(`select * from ${table}`)).rows)),
    );
    let refusal = '';
    try {
      life(hidden).executor.onApplicationBootstrap();
    } catch (error) {
      refusal = String(error);
    }
    expect(refusal).toMatch(/target "shop" of the policy al.actions/);
    const everything = [...kept, JSON.stringify(worker.logs()), refusal, gate.told.join()].join();
    expect(everything).toContain(one.idempotency_key);
    for (const secret of [token, SIGNING, SIGNING.slice('whsec_'.length)]) expect(everything).not.toContain(secret);
  });

  it.each([
    ['is missing', undefined, 'CONFIG_SECRET_MISSING'],
    ['is too short', `whsec_${Buffer.alloc(23).toString('base64')}`, 'CONFIG_INVALID'],
    ['is no key', 'hunter2', 'CONFIG_INVALID'],
  ])('does not start when the secret of a target %s', (_, secret, code) => {
    if (secret === undefined) delete secrets.held['SIGNING'];
    else secrets.held['SIGNING'] = secret;
    const start = (): void => {
      life().executor.onApplicationBootstrap();
    };
    expect(start).toThrow(expect.objectContaining({ code }));
    expect(start).not.toThrow(secret ?? 'nothing');
  });

  describe('targets that a policy brings while the unit runs', () => {
    const served = async (usable: boolean): Promise<Worker> => {
      const worker = life({}, { targets: {} });
      worker.executor.onApplicationBootstrap();
      await clock.advance(2_000);
      // The clock goes on while the receiver answers in its own time.
      const change = { timeout_ms: 3_000_000, ...(usable ? {} : { secret: { env: 'NOBODY_HAS_IT' } }) };
      const shop = targetAt(receiver.port, change);
      worker.activate({ ...ALLOW, targets: { shop } });
      return worker;
    };

    it('are served without a restart', async () => {
      const worker = await served(true);
      const one = asked();
      await worker.consumer.take(batch(envelope(one)));
      const ended = async (): Promise<unknown> => {
        await clock.advance(500);
        return (await store.action(one.idempotency_key))?.outcome_id ?? null;
      };
      await eventually(ended, (id) => id !== null, 10_000);
      await worker.executor.onModuleDestroy();
      expect(await told()).toMatchObject([{ status: 'EXECUTED', policy_rev: { revision: 2 } }]);
      expect(receiver.effects.size).toBe(1);
    });

    it('are told of where they cannot be spoken to, and what is asked of them ends as failed', async () => {
      const worker = await served(false);
      const one = asked();
      await worker.consumer.take(batch(envelope(one)));
      const ended = async (): Promise<unknown> => {
        await clock.advance(5_000);
        return (await store.action(one.idempotency_key))?.outcome_id ?? null;
      };
      await eventually(ended, (id) => id !== null, 10_000);
      await worker.executor.onModuleDestroy();
      expect(receiver.effects.size).toBe(0);
      expect(worker.logs().filter(({ event }) => event === 'al_target_unusable')).toHaveLength(1);
      expect(await told()).toMatchObject([{ status: 'FAILED' }]);
    });
  });

  it('a notification is a row of its own, and a line of the log', async () => {
    const one = intent({ action_type: 'notify', action_domain: 'notify' });
    const worker = life();
    await worker.consumer.take(batch(envelope(one), envelope(one)));
    expect(worker.logs().filter(({ event }) => event === 'al_notification')).toHaveLength(1);
    const [row] = await store.notifications(null, 1);
    expect(row).toMatchObject({ target_id: one.target.id, decision_id: one.decision_id, outcome: 'DECLINE' });
    expect(await told()).toMatchObject([{ status: 'EXECUTED', action_type: 'notify' }]);
  });
}
