import { expect } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { UNITS } from '../../src/app/units.js';
import { policyKindsOf } from '../../src/app/unit-table.js';
import type { LaneDone, PolicyView } from '../../src/modules/run-operate/policy-lanes.service.js';
import type { JsonValue } from '../../src/rails/canonical-json.js';
import { digestBytes } from '../../src/rails/digest.js';
import { asTopicName } from '../../src/rails/eb-ref.js';
import {
  type GovernanceFact,
  governanceFactRecipe,
  policyRevOf,
} from '../../src/rails/events/governance-fact.schema.js';
import { readEvent } from '../../src/rails/events/read-event.js';
import { type PolicyRev, sealPolicy } from '../../src/rails/policy-rev.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { FilesObjects } from '../../src/substrate/objects/files.objects.js';
import { type Activation, activationKey } from '../../src/substrate/policy/activation.schema.js';
import { PolicyArchive } from '../../src/substrate/policy/policy.archive.js';
import { PolicyJudge } from '../../src/substrate/policy/policy-faults.js';
import { Door, type Outside } from '../support/door.js';
import { eventually } from '../support/eventually.js';
import { Http } from '../support/http.js';
import { openInside } from '../support/inside.js';
import { seeded } from '../support/kafka-log.js';
import { recordsOf } from '../support/single-pass.js';
import { killed, pause, type Victim } from './door.kills.js';

export interface GovernanceKillPlan {
  readonly seed: number;
  readonly kills: number;
}

const CONTROL = asTopicName('fp.bus.control.v1');
const REASON = 'kill run';
/** Both people change this one on their own. */
const RACED = 'df.rules';
/** Both propose the same of this one, under the same keys. */
const SHARED = 'ig.admission';
/** Refusals that are facts, too. */
const RECORDED = ['OPS_SELF_APPROVAL', 'OPS_HEAD_MOVED'];

const TWO_PEOPLE: Outside = {
  introduce: (profile) => {
    const officer = '    - key_id: officer\n      actor_id: HUMAN::officer\n      roles: [operator]\n';
    profile.edit(profile.access, '    # One per unit', `${officer}    # One per unit`);
    return [profile.access];
  },
  env: {},
};

type Body = Readonly<Record<string, JsonValue>>;
type Kind = GovernanceFact['kind'];

/** What somebody was told of a command, in the end: the fact, or why not. */
export type Told =
  { readonly kind: Kind; readonly fact: GovernanceFact } | { readonly kind: Kind; readonly code: string };

/** The links of the chain as they stand in the object store, with the digests of their bytes. */
export type Chain = readonly { readonly link: Activation; readonly digest: string }[];

export interface Governed {
  readonly facts: readonly GovernanceFact[];
  readonly told: ReadonlyMap<string, Told>;
  readonly chain: Chain;
}

/**
 * Two people propose, approve, activate and roll back over and over, each command until it is answered, while the process that carries them out and
 * its database are killed. At the end each command that was answered with a fact is one fact, each that was refused is none, or the one that tells of
 * the refusal; the chain of activations is whole and is what the facts say; what a fact names can be read; and the control topic was told of all.
 */
export async function governanceUnderKills({ seed, kills }: GovernanceKillPlan): Promise<Governed> {
  const random = seeded(seed);
  const door = await Door.open('embedded', ['ops'], TWO_PEOPLE);
  const victims: readonly Victim[] = ['ops', 'ops', 'database'];
  try {
    const ended = { now: false };
    const told = new Map<string, Told>();
    const shipped = await bodyOf(door, SHARED);
    const work = ['operator', 'officer'].map((name) => person(door, name, { ended, told, shipped }));
    for (let kill = 0; kill < kills; kill += 1) {
      await pause(random() * 700);
      await killed(door, victims[kill % victims.length] ?? 'ops');
    }
    ended.now = true;
    await Promise.all(work);
    const facts = await factsOf(door);
    const scope = facts[0]?.scope ?? '';
    demandToldOnce(facts, told, scope);
    demandLifecycle(facts);
    const chain = await chainIn(door, facts);
    demandChain(chain, facts);
    await demandOnControl(door, facts);
    await demandInForce(door, chain);
    return { facts, told, chain };
  } finally {
    await door.close();
  }
}

interface Shift {
  readonly ended: { readonly now: boolean };
  readonly told: Map<string, Told>;
  readonly shipped: { readonly rev: PolicyRev; readonly body: Body };
}

/** Round after round; the last one is whole. */
async function person(door: Door, name: string, { ended, told, shipped }: Shift): Promise<void> {
  const other = name === 'operator' ? 'officer' : 'operator';
  let keys = 0;
  const did = async (who: string, path: string, kind: Kind, body: object, key?: string): Promise<Told> => {
    const idempotency_key = key ?? `${name}-key-${(keys += 1)}`;
    const one = await answered(door, who, path, kind, { ...body, reason: REASON, idempotency_key });
    told.set(idempotency_key, one);
    return one;
  };
  /** Until somebody is not told that another one was faster, each time on a new sight and under a new key. */
  const onSight = async (path: string, kind: Kind, body: object): Promise<void> => {
    for (;;) {
      const expected = (await viewOf(door, RACED)).head?.fact_id ?? null;
      const one = await did(name, `${RACED}/${path}`, kind, { ...body, expected });
      if ('fact' in one || one.code !== 'OPS_HEAD_MOVED') return;
    }
  };
  for (let round = 1; round === 1 || !ended.now; round += 1) {
    const shared = sealPolicy(SHARED, shipped.rev.revision + round, changed(shipped.body, round));
    const proposal = { artifact: { ...shared.policy_rev, body: shared.body } };
    await did('operator', `${SHARED}/proposals`, 'POLICY_PROPOSED', proposal, `shared-key-${round}`);
    const mine = await proposed(door, name, did);
    if (mine === undefined) continue;
    await did(name, `${RACED}/approve`, 'POLICY_APPROVED', { revision: mine });
    await did(other, `${RACED}/approve`, 'POLICY_APPROVED', { revision: mine });
    await onSight('activate', 'POLICY_ACTIVATED', { revision: mine });
    if (round % 2 === 0) await onSight('rollback', 'POLICY_ROLLED_BACK', {});
  }
}

type Did = (who: string, path: string, kind: Kind, body: object) => Promise<Told>;

/** The next revision of what both change; undefined where the other one took its number first. */
async function proposed(door: Door, name: string, did: Did): Promise<number | undefined> {
  const { revisions } = await viewOf(door, RACED);
  const { body } = await bodyOf(door, RACED);
  const next = Math.max(...revisions.map(({ policy_rev }) => policy_rev.revision)) + 1;
  const [first, ...others] = body['lists'] as Body[];
  const sealed = sealPolicy(RACED, next, { ...body, lists: [{ ...first, name: `${name}_${next}` }, ...others] });
  const artifact = { ...sealed.policy_rev, body: sealed.body };
  const one = await did(name, `${RACED}/proposals`, 'POLICY_PROPOSED', { artifact });
  return 'fact' in one ? next : undefined;
}

function changed(body: Body, round: number): Body {
  return { ...body, limits: { ...(body['limits'] as Body), event_bytes_max: 262_144 - round } };
}

async function clientOf(door: Door, who: string): Promise<Http> {
  return new Http(await door.urlOf('ops'), readFileSync(join(door.data, 'keys', `${who}.key`), 'utf8').trim());
}

/** Through every failure on the way: a refusal is an answer, and what a server says of itself is none. */
async function answered(door: Door, who: string, path: string, kind: Kind, request: object): Promise<Told> {
  return await through(async () => {
    const { status, body } = await (await clientOf(door, who)).post(`/v1/policies/${path}`, request);
    if (status === 200) return { kind, fact: (body as LaneDone).fact };
    if (status >= 500 || status === 429) throw new Error(`answered with ${status}`);
    return { kind, code: (body as { readonly code: string }).code };
  });
}

async function read<Result>(door: Door, path: string): Promise<Result> {
  return await through(async () => {
    const { status, body, text } = await (await clientOf(door, 'operator')).get(path);
    if (status !== 200) throw new Error(text);
    return body as Result;
  });
}

async function through<Result>(work: () => Promise<Result>): Promise<Result> {
  const done = await eventually(
    async () => {
      try {
        return { result: await work() };
      } catch {
        return undefined;
      }
    },
    (one) => one !== undefined,
    120_000,
  );
  if (done === undefined) throw new Error('never answered');
  return done.result;
}

type View = PolicyView & { readonly revisions: readonly { readonly policy_rev: PolicyRev }[] };

function viewOf(door: Door, policyId: string): Promise<View> {
  return read<View>(door, `/v1/policies/${policyId}/revisions`);
}

async function bodyOf(door: Door, policyId: string): Promise<{ readonly rev: PolicyRev; readonly body: Body }> {
  const { policy_rev: rev } = await viewOf(door, policyId);
  const { body } = await read<{ body: Body }>(door, `/v1/policies/${policyId}/revisions/${rev.revision}`);
  return { rev, body };
}

/** All of policies, oldest first. */
async function factsOf(door: Door): Promise<readonly GovernanceFact[]> {
  const facts: GovernanceFact[] = [];
  for (let cursor: string | undefined; ;) {
    const page: { readonly changes: readonly { readonly fact: GovernanceFact }[]; readonly next_cursor?: string } =
      await read(door, `/v1/changes?limit=200${cursor === undefined ? '' : `&cursor=${cursor}`}`);
    facts.push(...page.changes.map(({ fact }) => fact));
    if (page.next_cursor === undefined) return facts.reverse().filter(({ kind }) => kind.startsWith('POLICY_'));
    cursor = page.next_cursor;
  }
}

/** Each command that was answered with a fact is that fact, once; each that was refused is none; and nobody else did anything. */
export function demandToldOnce(facts: readonly GovernanceFact[], told: ReadonlyMap<string, Told>, scope: string): void {
  const byId = new Map(facts.map((fact) => [fact.fact_id as string, fact]));
  expect(byId.size).toBe(facts.length);
  const idOf = (op_id: string, kind: Kind): string => governanceFactRecipe.derive({ scope, op_id, kind, step: 0 });
  let made = 0;
  for (const [key, one] of told) {
    const fact = byId.get(idOf(key, one.kind));
    expect([key, fact]).toEqual([key, 'fact' in one ? one.fact : undefined]);
    const refusal = byId.get(idOf(key, 'POLICY_REFUSED'));
    const recorded = 'code' in one && RECORDED.includes(one.code);
    expect([key, refusal?.detail['code']]).toEqual([key, recorded ? one.code : undefined]);
    if (fact !== undefined || recorded) made += 1;
  }
  expect(facts.filter(({ reason }) => reason === REASON)).toHaveLength(made);
}

/** Each step follows on one that allows it; what came into force names what was before. */
export function demandLifecycle(facts: readonly GovernanceFact[]): void {
  const states = new Map<string, string>();
  const proposers = new Map<string, string>();
  const inForce = new Map<string, string>();
  for (const { kind, subject, actor, before, after, fact_id } of facts) {
    const [from, to] = [policyRevOf(before), policyRevOf(after)];
    if (to === undefined || kind === 'POLICY_REFUSED') continue;
    const digest: string = to.content_digest;
    const state = states.get(digest);
    const demand = (allowed: readonly (string | undefined)[]): void => {
      expect([fact_id, kind, allowed.includes(state), state]).toEqual([fact_id, kind, true, state]);
    };
    if (kind === 'POLICY_PROPOSED') {
      demand([undefined]);
      proposers.set(digest, actor.actor_id);
      states.set(digest, 'PROPOSED');
    } else if (kind === 'POLICY_APPROVED') {
      demand(['PROPOSED']);
      expect(actor.actor_id).not.toBe(proposers.get(digest));
      states.set(digest, 'APPROVED');
    } else {
      if (kind === 'POLICY_ACTIVATED') demand(['APPROVED']);
      if (kind === 'POLICY_ROLLED_BACK') demand(['WAS_ACTIVE']);
      expect([fact_id, from?.content_digest]).toEqual([fact_id, inForce.get(subject)]);
      const gone = inForce.get(subject);
      if (gone !== undefined) states.set(gone, 'WAS_ACTIVE');
      states.set(digest, 'ACTIVE');
      inForce.set(subject, digest);
    }
  }
}

/** The links of the chain, after somebody had the time to put the last one; and each artifact that a fact names, verified. */
async function chainIn(door: Door, facts: readonly GovernanceFact[]): Promise<Chain> {
  const objects = await FilesObjects.open(join(door.data, 'objects'), new SystemClock());
  try {
    const wanted = facts.filter(isActivation).length;
    const chain: { link: Activation; digest: string }[] = [];
    await eventually(
      () => objects.head(activationKey(wanted)),
      (ref) => ref !== null || wanted === 0,
      30_000,
    );
    for (let seq = 1; ; seq += 1) {
      const ref = await objects.head(activationKey(seq));
      if (ref === null) break;
      const bytes = await objects.read(ref);
      chain.push({ link: JSON.parse(bytes.toString('utf8')) as Activation, digest: digestBytes(bytes) });
    }
    const archive = new PolicyArchive(objects);
    const judge = new PolicyJudge(policyKindsOf(UNITS));
    const revs = facts.flatMap(({ after }) => policyRevOf(after) ?? []);
    for (const rev of new Map(revs.map((one) => [one.content_digest, one])).values())
      expect([rev.policy_id, judge.alone(await archive.artifact(rev))]).toEqual([rev.policy_id, []]);
    return chain;
  } finally {
    await objects.close();
  }
}

function isActivation({ kind }: GovernanceFact): boolean {
  return kind === 'POLICY_ACTIVATED' || kind === 'POLICY_ROLLED_BACK';
}

/** One link for each fact that put something in force, in their order, each on the one before. */
export function demandChain(chain: Chain, facts: readonly GovernanceFact[]): void {
  const wanted = facts.filter(isActivation);
  expect(chain.map(({ link }) => [link.seq, link.fact_id, link.policy_rev, link.actor])).toEqual(
    wanted.map(({ fact_id, after, actor }, at) => [at + 1, fact_id, after, actor]),
  );
  expect(chain.map(({ link }) => link.previous)).toEqual([null, ...chain.map(({ digest }) => digest)].slice(0, -1));
}

/** A message may come twice, in the same bytes; none is missing, and none is of anything else. */
async function demandOnControl(door: Door, facts: readonly GovernanceFact[]): Promise<void> {
  const inside = await openInside(door.data);
  try {
    const tell = async (): Promise<ReadonlyMap<string, ReadonlySet<string>>> => {
      const said = new Map<string, Set<string>>();
      for (const { record } of await recordsOf(inside.bus, CONTROL)) {
        const event = readEvent(record.value);
        if (!event.ok || event.event.eventType !== 'gov.fact') continue;
        const { kind } = event.event.payload;
        if (typeof kind !== 'string' || !kind.startsWith('POLICY_')) continue;
        const texts = said.get(event.event.eventId) ?? new Set<string>();
        said.set(event.event.eventId, texts.add(Buffer.from(record.value).toString('utf8')));
      }
      return said;
    };
    const said = await eventually(tell, ({ size }) => size >= facts.length, 60_000);
    expect([...said.keys()]).toEqual(facts.map(({ fact_id }) => fact_id));
    for (const texts of said.values()) expect(texts.size).toBe(1);
  } finally {
    await inside.close();
  }
}

/** A process that starts now, and one that ran on, have in force what was activated last. */
async function demandInForce(door: Door, chain: Chain): Promise<void> {
  const last = chain.filter(({ link }) => link.policy_rev.policy_id === RACED).at(-1)?.link.policy_rev;
  await eventually(
    () => viewOf(door, RACED),
    ({ policy_rev }) => policy_rev.content_digest === last?.content_digest,
    10_000,
  );
  await door.kill('ops');
  await door.start('ops');
  expect((await viewOf(door, RACED)).policy_rev).toEqual(last);
}
