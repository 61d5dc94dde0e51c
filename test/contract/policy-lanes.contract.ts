import { beforeEach, describe, expect, it } from '@jest/globals';
import { Type } from '@sinclair/typebox';
import { GovernanceFacts } from '../../src/modules/run-operate/governance-facts.js';
import { GOVERNANCE_POLICY } from '../../src/modules/run-operate/governance.policy.js';
import { LaneGuard } from '../../src/modules/run-operate/lane-guard.js';
import { type LaneDone, PolicyLanes } from '../../src/modules/run-operate/policy-lanes.service.js';
import { PolicyLanesStore } from '../../src/modules/run-operate/policy-lanes.store.js';
import { humanActor } from '../../src/rails/actor.js';
import { ProbityError } from '../../src/rails/errors/probity-error.js';
import { type SealedPolicy, sealPolicy } from '../../src/rails/policy-rev.js';
import type { ObjectKey, Ref } from '../../src/rails/ref.js';
import { closed } from '../../src/rails/schema.js';
import { About } from '../../src/substrate/about.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import type { Database } from '../../src/substrate/database/database.port.js';
import type { Objects, PutOptions } from '../../src/substrate/objects/objects.port.js';
import { FollowedPolicies } from '../../src/substrate/policy/followed.policies.js';
import { PolicyArchive } from '../../src/substrate/policy/policy.archive.js';
import type { PolicyKind } from '../../src/substrate/policy/policy.port.js';
import { recordedTelemetry } from '../support/telemetry.js';

const [MIA, OLE, IDA] = ['mia', 'ole', 'ida'].map((name) => humanActor(name, 'API_KEY'));

/** What somebody puts in the way of an object store: other bytes at a read, an end before a put. */
interface Spoil {
  readonly reads?: (key: ObjectKey) => boolean;
  readonly puts?: (key: ObjectKey) => boolean;
}

/** Refuses revisions as the test says. */
class Guard extends LaneGuard {
  refused = 0;
  demand({ policy_rev }: SealedPolicy): Promise<void> {
    if (policy_rev.revision !== this.refused) return Promise.resolve();
    return Promise.reject(new ProbityError('OPS_RETENTION_SHORT', 'somebody needs more'));
  }
}

function spoilt(objects: Objects, { reads = () => false, puts = () => false }: Spoil): Objects {
  return new Proxy(objects, {
    get(target, name): unknown {
      if (name === 'read')
        return async (ref: Ref) => {
          const bytes = await target.read(ref);
          return reads(ref.locator) ? Buffer.from(bytes.toString('utf8').replace(/\d(?=[^\d]*$)/, 'e')) : bytes;
        };
      if (name === 'putIfAbsent')
        return async (key: ObjectKey, body: Uint8Array, options: PutOptions) => {
          if (puts(key)) throw new Error('the process was killed');
          return await target.putIfAbsent(key, body, options);
        };
      const member: unknown = Reflect.get(target, name);
      return typeof member === 'function' ? (member.bind(target) as unknown) : member;
    },
  });
}

/** What people do with policies, and what running processes make of it, over a database and an object store. */
export function policyLanesSuite(open: () => { readonly database: Database; readonly objects: Objects }): void {
  let round = 0;
  let keys = 0;
  let clock: ManualClock;

  beforeEach(() => {
    round += 1;
    clock = new ManualClock();
  });

  const id = (name: string): string => `${name}${round}.test`;
  const body = closed({ x: Type.Integer({ minimum: 0 }) });
  const kinds = (): readonly PolicyKind[] => [
    GOVERNANCE_POLICY,
    {
      policy_id: id('a'),
      schema: body,
      checkAmong: (own: { x: number }, bodyOf: (other: string) => unknown) =>
        own.x > (bodyOf(id('limit')) as { x: number }).x ? [{ pointer: '/x', sentence: 'is above the limit' }] : [],
    },
    { policy_id: id('limit'), schema: body },
    { policy_id: id('slow'), schema: body, takesEffect: 'at_restart' },
    { policy_id: id('free'), schema: body },
  ];
  const profile = (changes: Readonly<Record<string, SealedPolicy>> = {}): ReadonlyMap<string, SealedPolicy> =>
    new Map(
      [
        sealPolicy(GOVERNANCE_POLICY.policy_id, 1, {
          four_eyes: [
            { policies: 'free*', required: false },
            { policies: '*', required: true },
          ],
        }),
        sealPolicy(id('a'), 3, { x: 3 }),
        sealPolicy(id('limit'), 1, { x: 100 }),
        sealPolicy(id('slow'), 1, { x: 1 }),
        sealPolicy(id('free'), 1, { x: 1 }),
      ].map((policy) => [policy.policy_rev.policy_id, changes[policy.policy_rev.policy_id] ?? policy]),
    );

  /** A process: its policies, and the lanes where it runs them. */
  async function life(spoil: Spoil = {}, own = profile()) {
    const { telemetry } = recordedTelemetry();
    const objects = spoilt(open().objects, spoil);
    const policies = await FollowedPolicies.open({
      kinds: kinds(),
      profile: own,
      objects,
      clock,
      logger: telemetry.logger,
    });
    const store = new PolicyLanesStore(open().database, new GovernanceFacts());
    const guard = new Guard();
    const lanes = new PolicyLanes(store, policies, objects, new About('1.0.0', 'test', 1), clock, telemetry, guard);
    const one = (name: string) => policies.standing().find(({ policy_rev }) => policy_rev.policy_id === id(name));
    return { policies, store, lanes, guard, objects, one, revision: (name: string) => one(name)?.policy_rev.revision };
  }
  type Life = Awaited<ReturnType<typeof life>>;

  const key = (): string => `key-${(keys += 1)}-${round}`;
  const asked = (actor = MIA, its = key()) => ({
    actor: actor ?? humanActor('nobody', 'API_KEY'),
    reason: 'a test',
    key: its,
  });
  const head = async ({ lanes }: Life, name: string): Promise<string | null> =>
    (await lanes.policy(id(name))).head?.fact_id ?? null;
  async function approved(one: Life, name: string, revision: number, x: number): Promise<SealedPolicy> {
    const policy = sealPolicy(id(name), revision, { x });
    await one.lanes.propose(policy, asked(MIA));
    await one.lanes.command(id(name), { action: 'approve', revision }, asked(OLE));
    return policy;
  }
  const activate = async (one: Life, name: string, revision: number, actor = OLE): Promise<LaneDone> =>
    await one.lanes.command(id(name), { action: 'activate', revision, expected: await head(one, name) }, asked(actor));

  it('what cannot be put in force as things stand is neither proposed nor activated, and nothing is written', async () => {
    const one = await life();
    await approved(one, 'a', 4, 9);
    one.guard.refused = 5;
    const proposal = one.lanes.propose(sealPolicy(id('a'), 5, { x: 8 }), asked());
    await expect(proposal).rejects.toMatchObject({ code: 'OPS_RETENTION_SHORT' });
    expect((await one.lanes.policy(id('a'))).revisions.map(({ policy_rev }) => policy_rev.revision)).toEqual([4]);
    one.guard.refused = 4;
    await expect(activate(one, 'a', 4)).rejects.toMatchObject({ code: 'OPS_RETENTION_SHORT' });
    expect(one.revision('a')).toBe(3);
    one.guard.refused = 0;
    await activate(one, 'a', 4);
    expect(one.revision('a')).toBe(4);
  });

  it('a revision is proposed, approved, activated and rolled back, each a fact; another process follows', async () => {
    const [one, other] = [await life(), await life()];
    await one.lanes.keepInForce();
    await approved(one, 'a', 4, 4);
    expect(one.revision('a')).toBe(3);
    await activate(one, 'a', 4);
    expect([one.revision('a'), other.revision('a')]).toEqual([4, 3]);
    await other.policies.follow();
    const [kind] = kinds().filter(({ policy_id }) => policy_id === id('a'));
    if (kind === undefined) throw new Error('no kind');
    const held = other.policies.inForce(kind);
    await other.policies.follow();
    expect(other.policies.inForce(kind)).toBe(held);
    expect([other.revision('a'), (await life()).revision('a')]).toEqual([4, 4]);
    await approved(one, 'a', 5, 5);
    await activate(one, 'a', 5);
    const back = await one.lanes.command(id('a'), { action: 'rollback', expected: await head(one, 'a') }, asked(MIA));
    expect(back.fact).toMatchObject({
      kind: 'POLICY_ROLLED_BACK',
      before: { revision: 5 },
      after: { revision: 4 },
      actor: MIA,
    });
    await other.policies.follow();
    expect(other.revision('a')).toBe(4);
    const facts = await one.store.factsOf(id('a'));
    expect(facts.map(({ kind: done, step, op_id }) => [done, step, op_id !== null])).toEqual(
      ['PROPOSED', 'APPROVED', 'ACTIVATED', 'PROPOSED', 'APPROVED', 'ACTIVATED', 'ROLLED_BACK'].map((done) => [
        `POLICY_${done}`,
        0,
        true,
      ]),
    );
    const differences = await one.lanes.difference(id('a'), 4, 5);
    expect(differences).toEqual([{ at: '/x', left: '4', right: '5' }]);
  });

  it('a proposer who approves himself is refused, and that is a fact; where the policy lets him he is not', async () => {
    const one = await life();
    for (const name of ['a', 'free']) await one.lanes.propose(sealPolicy(id(name), 9, { x: 9 }), asked(MIA));
    const approve = { action: 'approve', revision: 9 } as const;
    await expect(one.lanes.command(id('a'), approve, asked(MIA))).rejects.toMatchObject({ code: 'OPS_SELF_APPROVAL' });
    expect((await one.store.factsOf(id('a'))).at(-1)).toMatchObject({
      kind: 'POLICY_REFUSED',
      actor: MIA,
      after: { revision: 9 },
      detail: { code: 'OPS_SELF_APPROVAL', action: 'approve' },
    });
    await expect(activate(one, 'a', 9)).rejects.toMatchObject({ code: 'OPS_STATE_FORBIDS' });
    expect(await one.lanes.command(id('free'), approve, asked(MIA))).toMatchObject({ outcome: 'NEW' });
  });

  it('of operators who act at once one wins, and the others are told of whom', async () => {
    const lives = [await life(), await life(), await life()];
    const [one] = lives;
    if (one === undefined) throw new Error('no life');
    for (const revision of [4, 5, 6]) await approved(one, 'a', revision, revision);
    const expected = await head(one, 'a');
    const people = [MIA, OLE, IDA];
    const done = await Promise.allSettled(
      lives.map(({ lanes }, at) =>
        lanes.command(id('a'), { action: 'activate', revision: at + 4, expected }, asked(people[at])),
      ),
    );
    const won = done.findIndex(({ status }) => status === 'fulfilled');
    expect(done.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const each of done)
      if (each.status === 'rejected')
        expect(each.reason).toMatchObject({
          code: 'OPS_HEAD_MOVED',
          detail: expect.stringContaining(people[won]?.actor_id ?? '?'),
        });
    for (const each of lives) {
      await each.policies.follow();
      expect(each.revision('a')).toBe(won + 4);
    }
    expect((await one.store.factsOf(id('a'))).filter(({ kind }) => kind === 'POLICY_REFUSED')).toHaveLength(2);
  });

  it('the same wish again is answered with what was done; another one under its key is refused', async () => {
    const one = await life();
    const policy = sealPolicy(id('a'), 4, { x: 4 });
    const wish = asked(MIA);
    const first = await one.lanes.propose(policy, wish);
    expect(await one.lanes.propose(policy, wish)).toEqual({ outcome: 'DUPLICATE', fact: first.fact });
    await expect(one.lanes.propose(sealPolicy(id('a'), 5, { x: 5 }), wish)).rejects.toMatchObject({
      code: 'OPS_IDEMPOTENCY_CONFLICT',
    });
    expect(await one.store.factsOf(id('a'))).toHaveLength(1);
  });

  it('what could not be in force is not even kept', async () => {
    const one = await life();
    const sound = sealPolicy(id('a'), 4, { x: 4 });
    const cases: readonly (readonly [SealedPolicy, string, string])[] = [
      [sealPolicy(id('a'), 4, { x: -1 }), 'OPS_POLICY_INVALID', '/x'],
      [sealPolicy(id('a'), 4, { x: 101 }), 'OPS_POLICY_INVALID', 'above the limit'],
      [{ ...sound, body: { x: 5 } }, 'OPS_POLICY_INVALID', 'digest'],
      [sealPolicy('nobody.reads', 4, { x: 4 }), 'OPS_POLICY_UNKNOWN', 'nobody.reads'],
    ];
    for (const [policy, code, detail] of cases)
      await expect(one.lanes.propose(policy, asked())).rejects.toMatchObject({
        code,
        detail: expect.stringContaining(detail),
      });
    expect(await one.store.factsOf(id('a'))).toEqual([]);
    await expect(
      new PolicyArchive(one.objects).artifact(cases[0]?.[0].policy_rev ?? sound.policy_rev),
    ).rejects.toMatchObject({ code: 'OPS_ARTIFACT_UNKNOWN' });
    await one.lanes.propose(sound, asked());
    await expect(one.lanes.propose(sealPolicy(id('a'), 4, { x: 6 }), asked())).rejects.toMatchObject({
      code: 'OPS_REVISION_USED',
    });
  });

  describe('what somebody tampered with', () => {
    it('as an artifact is refused by name, and what was in force stays; whole again, it is taken', async () => {
      const one = await life();
      const policy = await approved(one, 'a', 4, 4);
      let spoils = true;
      const other = await life({ reads: (name) => spoils && name.includes(policy.policy_rev.content_digest) });
      await activate(one, 'a', 4);
      await other.policies.follow();
      expect(other.one('a')).toMatchObject({
        policy_rev: { revision: 3 },
        state: 'REFUSED',
        refused: expect.stringContaining(policy.policy_rev.content_digest),
      });
      expect(other.policies.health().detail).toContain('OPS_ARTIFACT_TAMPERED');
      await expect(life({ reads: (name) => name.includes(policy.policy_rev.content_digest) })).rejects.toMatchObject({
        code: 'OPS_ARTIFACT_TAMPERED',
      });
      spoils = false;
      await other.policies.follow();
      expect(other.one('a')).toMatchObject({ policy_rev: { revision: 4 }, state: 'AS_ACTIVATED' });
    });

    it('as a link of the chain stops whoever reads it', async () => {
      const one = await life();
      await approved(one, 'a', 4, 4);
      let spoils = false;
      const other = await life({ reads: (name) => spoils && name.startsWith('gov/activations/') });
      spoils = true;
      await activate(one, 'a', 4);
      await expect(other.policies.follow()).rejects.toMatchObject({ code: 'OPS_CHAIN_BROKEN' });
      expect(other.revision('a')).toBe(3);
      await expect(life({ reads: (name) => name.startsWith('gov/activations/') })).rejects.toMatchObject({
        code: 'OPS_CHAIN_BROKEN',
      });
      spoils = false;
      await other.policies.follow();
      expect(other.revision('a')).toBe(4);
    });
  });

  it('a process that ends between fact and object leaves an activation that the next one tells, once', async () => {
    const dying = await life({ puts: (name) => name.startsWith('gov/activations/') });
    await approved(dying, 'a', 4, 4);
    const wish = asked(OLE);
    const command = { action: 'activate', revision: 4, expected: await head(dying, 'a') } as const;
    await expect(dying.lanes.command(id('a'), command, wish)).rejects.toThrow('the process was killed');
    const next = await life();
    expect(next.revision('a')).toBe(3);
    expect(await next.lanes.putActivations()).toBe(1);
    expect(await next.lanes.putActivations()).toBe(0);
    await next.policies.follow();
    expect(next.revision('a')).toBe(4);
    expect(await next.lanes.command(id('a'), command, wish)).toMatchObject({ outcome: 'DUPLICATE' });
    expect((await next.store.factsOf(id('a'))).filter(({ kind }) => kind === 'POLICY_ACTIVATED')).toHaveLength(1);
  });

  it('what is built from at a start waits for the next one, and says so', async () => {
    const one = await life();
    await approved(one, 'slow', 2, 2);
    await activate(one, 'slow', 2);
    expect(one.one('slow')).toMatchObject({
      policy_rev: { revision: 1 },
      activated: { revision: 2 },
      state: 'AWAITS_RESTART',
    });
    expect((await life()).one('slow')).toMatchObject({ policy_rev: { revision: 2 }, state: 'AS_ACTIVATED' });
  });

  it('a profile says something newer only with a revision above all that was known', async () => {
    const one = await life();
    await approved(one, 'a', 4, 4);
    await approved(one, 'a', 7, 7);
    await activate(one, 'a', 4);
    const on = async (revision: number): Promise<unknown> =>
      (await life({}, profile({ [id('a')]: sealPolicy(id('a'), revision, { x: 50 }) }))).one('a');
    expect(await on(7)).toMatchObject({ policy_rev: { revision: 4 }, state: 'AS_ACTIVATED' });
    expect(await on(8)).toMatchObject({ policy_rev: { revision: 8 }, state: 'PROFILE_IS_NEWER' });
  });
}
