import { beforeEach, describe, expect, it } from '@jest/globals';
import { GovernanceFacts } from '../../src/modules/run-operate/governance-facts.js';
import { RunOperateService } from '../../src/modules/run-operate/run-operate.service.js';
import { RunOperateStore } from '../../src/modules/run-operate/run-operate.store.js';
import { asTopicName } from '../../src/rails/eb-ref.js';
import {
  type GovernanceFact,
  GovernanceFactSchema,
  policyRevOf,
} from '../../src/rails/events/governance-fact.schema.js';
import { readEvent } from '../../src/rails/events/read-event.js';
import { sealPolicy } from '../../src/rails/policy-rev.js';
import { validatorOf } from '../../src/rails/validator.js';
import { About } from '../../src/substrate/about.js';
import type { Bus } from '../../src/substrate/bus/bus.port.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import type { Database } from '../../src/substrate/database/database.port.js';
import { StaticPolicies } from '../../src/substrate/policy/policy.port.js';
import { eventually } from '../support/eventually.js';
import { recordsOf } from '../support/single-pass.js';
import { recordedTelemetry } from '../support/telemetry.js';

const CONTROL = asTopicName('fp.bus.control.v1');
type Sealed = ReturnType<typeof sealPolicy>;

/** What came into force, over a database and a bus. */
export function runOperateSuite(open: () => { readonly database: Database; readonly bus: Bus }): void {
  let clock: ManualClock;
  let store: RunOperateStore;
  let round = 0;

  beforeEach(() => {
    clock = new ManualClock();
    store = new RunOperateStore(open().database, new GovernanceFacts());
    round += 1;
  });

  const name = (policy: string): string => `${policy}${round}.rules`;
  function life(policies: readonly Sealed[], bus = open().bus): RunOperateService {
    const { telemetry } = recordedTelemetry();
    const held = new StaticPolicies(new Map(policies.map((one) => [one.policy_rev.policy_id, one])));
    return new RunOperateService(store, held, new About('1.0.0', 'test', 1), bus, clock, telemetry);
  }
  const mine = async (): Promise<readonly GovernanceFact[]> => {
    const rows = await store.changes({ limit: 200 });
    return rows.map(({ fact }) => fact).filter(({ subject }) => subject.endsWith(`${round}.rules`));
  };
  const told = async (): Promise<readonly GovernanceFact[]> => {
    const records = await recordsOf(open().bus, CONTROL);
    return records.flatMap(({ record }) => {
      const read = readEvent(record.value);
      if (!read.ok || read.event.eventType !== 'gov.fact') return [];
      const fact = read.event.payload as unknown as GovernanceFact;
      return fact.subject.endsWith(`${round}.rules`) ? [fact] : [];
    });
  };
  const [a, b] = ['a', 'b'];

  it('a first look makes a fact of each policy, a second one of none', async () => {
    const policies = [sealPolicy(name(a), 3, { x: 1 }), sealPolicy(name(b), 1, {})];
    expect(await life(policies).observe()).toHaveLength(2);
    expect(await life(policies).observe()).toEqual([]);
    const facts = await mine();
    for (const fact of facts)
      expect(validatorOf(GovernanceFactSchema, 'the fact').check(fact)).toMatchObject({ ok: true });
    expect(
      facts.map(({ before, after, actor, scope }) => [before, policyRevOf(after)?.revision, actor.actor_id, scope]),
    ).toEqual([
      [null, 1, 'SYSTEM::ops', 'test'],
      [null, 3, 'SYSTEM::ops', 'test'],
    ]);
  });

  it('a change is one fact that names what was before; one that is taken back is another', async () => {
    const first = sealPolicy(name(a), 1, { x: 1 });
    const second = sealPolicy(name(a), 2, { x: 2 });
    await life([first]).observe();
    await clock.advance(1_000);
    expect(await life([second]).observe()).toMatchObject([{ before: first.policy_rev, after: second.policy_rev }]);
    await clock.advance(1_000);
    expect(await life([first]).observe()).toMatchObject([{ before: second.policy_rev, after: first.policy_rev }]);
    const facts = await mine();
    expect(new Set(facts.map(({ fact_id }) => fact_id)).size).toBe(3);
    const [, middle] = facts.map(({ observed_at_utc }) => observed_at_utc);
    const since = await store.changes({
      limit: 10,
      subject: name(a),
      ...(middle === undefined ? {} : { from: middle }),
    });
    expect(since.map(({ fact }) => policyRevOf(fact.after)?.revision)).toEqual([1, 2]);
    const until = await store.changes({ limit: 10, subject: name(a), ...(middle === undefined ? {} : { to: middle }) });
    expect(until.map(({ fact }) => policyRevOf(fact.after)?.revision)).toEqual([1]);
  });

  it('two that run beside each other on different revisions make a fact at their start, and none after', async () => {
    const lives = [1, 2].map((revision) => life([sealPolicy(name(a), revision, { revision })]));
    for (const one of lives) {
      const before = (await mine()).length;
      one.onApplicationBootstrap();
      await eventually(mine, (facts) => facts.length === before + 1, 10_000);
    }
    for (let n = 0; n < 5; n += 1) await clock.advance(2_000);
    expect(await mine()).toHaveLength(2);
    await Promise.all(lives.map((one) => one.onModuleDestroy()));
  });

  it('processes that start at once make one fact between them', async () => {
    const policies = [sealPolicy(name(a), 1, {}), sealPolicy(name(b), 1, {})];
    const made = await Promise.all([life(policies), life(policies), life(policies)].map((one) => one.observe()));
    expect(made.flat()).toHaveLength(2);
    expect(await mine()).toHaveLength(2);
  });

  describe('telling', () => {
    it('is done once, in the order of the facts', async () => {
      const service = life([sealPolicy(name(a), 1, {}), sealPolicy(name(b), 1, {})]);
      await service.observe();
      while ((await service.publish()) > 0);
      expect(await service.publish()).toBe(0);
      expect((await told()).map(({ subject }) => subject)).toEqual([name(a), name(b)]);
      expect(await told()).toEqual(expect.arrayContaining([...(await mine())]));
      await service.onModuleDestroy();
    });

    it('is done again in the same bytes when its answer was lost: readers know it by its id', async () => {
      const sent: string[] = [];
      const lost = {
        openProducer: () =>
          Promise.resolve({
            append: (parts: readonly { readonly records: readonly { readonly value: Uint8Array }[] }[]) => {
              for (const { records } of parts) sent.push(...records.map(({ value }) => Buffer.from(value).toString()));
              return Promise.reject(new Error('the answer was lost'));
            },
            close: () => Promise.resolve(),
          }),
      } as unknown as Bus;
      const policies = [sealPolicy(name(a), 1, {})];
      const service = life(policies, lost);
      await service.observe();
      await expect(service.publish()).rejects.toThrow('the answer was lost');
      await clock.advance(60_000);
      await expect(life(policies, lost).publish()).rejects.toThrow('the answer was lost');
      const mineAlone = sent.filter((text) => text.includes(name(a)));
      expect(mineAlone).toHaveLength(2);
      expect(mineAlone[0]).toBe(mineAlone[1]);
      const next = life(policies);
      while ((await next.publish()) > 0);
      expect((await told()).map((fact) => JSON.stringify(fact))).toHaveLength(1);
      await next.onModuleDestroy();
    });

    it('waits while the bus is away, and loses nothing', async () => {
      const away = { openProducer: () => Promise.reject(new Error('the bus is away')) } as unknown as Bus;
      const service = life([sealPolicy(name(a), 1, {})], away);
      await service.observe();
      await expect(service.publish()).rejects.toThrow('the bus is away');
      expect(await told()).toEqual([]);
      const next = life([sealPolicy(name(a), 1, {})]);
      while ((await next.publish()) > 0);
      expect(await told()).toHaveLength(1);
      await next.onModuleDestroy();
    });
  });

  it('facts are append-only, also for who owns the schema', async () => {
    await life([sealPolicy(name(a), 1, {})]).observe();
    for (const text of ["update facts set kind = 'POLICY_IN_FORCE'", 'delete from facts', 'truncate facts'])
      await expect(open().database.query(text)).rejects.toMatchObject({ code: expect.stringMatching(/^DATABASE_/) });
    expect(await mine()).toHaveLength(1);
  });
}
