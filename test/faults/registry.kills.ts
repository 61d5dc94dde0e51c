import { expect } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RegistryDone, Resolved } from '../../src/modules/model-registry/model-registry.port.js';
import { canonicalJson } from '../../src/rails/canonical-json.js';
import { asTopicName } from '../../src/rails/eb-ref.js';
import { type RegistryFact, registryFactRecipe } from '../../src/rails/events/registry-fact.schema.js';
import { readEvent } from '../../src/rails/events/read-event.js';
import { type Bundle, bundleDigest } from '../../src/rails/model/bundle.schema.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { FilesObjects } from '../../src/substrate/objects/files.objects.js';
import { bundleOf, receiptOf } from '../contract/model-registry.kit.js';
import { Door, type Outside } from '../support/door.js';
import { eventually } from '../support/eventually.js';
import { openInside } from '../support/inside.js';
import { seeded } from '../support/kafka-log.js';
import { recordsOf } from '../support/single-pass.js';
import { killed, pause, type Victim } from './door.kills.js';

export interface RegistryKillPlan {
  readonly seed: number;
  readonly kills: number;
}

const CONTROL = asTopicName('fp.bus.control.v1');
const REASON = 'kill run';
const SLOT = 'primary';
/** One person does everything here. */
const ALONE: Outside = {
  introduce: (profile) => {
    const registry = join(profile.folder, 'policy', 'mpr.registry.yaml');
    const text = readFileSync(registry, 'utf8');
    writeFileSync(registry, text.replace('four_eyes: true', 'four_eyes: false'));
    return [registry];
  },
  env: {},
};

/** What somebody was told of a command, in the end: the fact, or why not. */
type Told = { readonly fact: RegistryFact } | { readonly code: string };

/**
 * Two people publish, approve, promote, roll back and retire over and over, each command until it is answered, while the registry and its database are
 * killed. At the end each command that was answered with a fact is one fact, each that was refused is none; facts follow from each other, objects
 * and control topic agree with them, and what is active follows from them, now and as of each of them.
 * @returns the facts, and how many commands were refused
 */
export async function registryUnderKills({ seed, kills }: RegistryKillPlan): Promise<{
  readonly facts: readonly RegistryFact[];
  readonly refused: number;
}> {
  const random = seeded(seed);
  const door = await Door.open('embedded', ['engine', 'mpr'], ALONE);
  const victims: readonly Victim[] = ['mpr', 'mpr', 'database'];
  try {
    const ended = { now: false };
    const told = new Map<string, Told>();
    const work = [person(door, 'mia', ended, told), person(door, 'ron', ended, told)];
    for (let kill = 0; kill < kills; kill += 1) {
      await pause(random() * 700);
      await killed(door, victims[kill % victims.length] ?? 'mpr');
    }
    ended.now = true;
    await Promise.all(work);
    const facts = await factsOf(door);
    demandToldOnce(facts, told);
    demandLifecycle(facts);
    await demandResolved(door, facts);
    await demandObjects(door, facts);
    await demandOnControl(door, facts);
    const refused = [...told.values()].filter((one) => 'code' in one).length;
    return { facts, refused };
  } finally {
    await door.close();
  }
}

/** Round after round; the last one is whole. Both publish the same bundle under the same key as well. */
async function person(
  door: Door,
  name: string,
  ended: { readonly now: boolean },
  told: Map<string, Told>,
): Promise<void> {
  let keys = 0;
  const did = async (path: string, body: object, key = `${name}-${(keys += 1)}`): Promise<Told> => {
    const one = await answered(door, path, { ...body, reason: REASON, idempotency_key: key });
    told.set(key, one);
    return one;
  };
  /** Until it is won, each time on a new sight and under a new key. */
  const onSight = async (path: string, body: object): Promise<void> => {
    for (;;) {
      const expected_seq = await slotSeq(door);
      const one = await did(path, { ...body, slot: SLOT, expected_seq });
      if ('fact' in one || one.code !== 'MPR_CONFLICT') return;
    }
  };
  for (let round = 1; round === 1 || !ended.now; round += 1) {
    await did('bundles', await publication(door, bundleOf('shared', round, round)), `shared-${round}`);
    const bundle = bundleOf(name, round, -round);
    await did('bundles', await publication(door, bundle));
    const named = { bundle_id: name, bundle_version: round };
    await did('approvals', { bundle: named });
    await onSight('promotions', { bundle: named });
    await did('approvals', { bundle: { bundle_id: 'nobody', bundle_version: round } });
    if (round % 2 === 0) await onSight('rollbacks', {});
    if (round % 3 === 0) await did('retirements', { bundle: named });
  }
}

async function publication(door: Door, bundle: Bundle): Promise<object> {
  const upload = (document: object) => door.upload(canonicalJson(document), 'application/json');
  const manifest = await through(() => upload({ dataset: bundle.bundle_id }));
  return {
    bundle,
    lineage: { train_run_id: bundleDigest(bundle), dataset_manifests: [manifest] },
    evidence: {
      eval_report: await through(() => upload({ report: bundle.bundle_id })),
      gate_receipt: await through(() => upload(receiptOf(bundle, 'PASS', manifest))),
    },
  };
}

/** Through every failure on the way: a refusal is an answer, and what a server says of itself is none. */
async function answered(door: Door, path: string, request: object): Promise<Told> {
  return await through(async () => {
    const { status, body } = await (await door.client('mpr')).post(`/v1/registry/${path}`, request);
    if (status === 200) return { fact: (body as RegistryDone).fact };
    if (status >= 500 || status === 429) throw new Error(`answered with ${status}`);
    return { code: (body as { readonly code: string }).code };
  });
}

/** Asks until it is answered; where it never is, the last failure says why. */
async function through<Result>(work: () => Promise<Result>): Promise<Result> {
  let last: unknown;
  const tried = async (): Promise<{ readonly result: Result } | undefined> => {
    try {
      return { result: await work() };
    } catch (error) {
      last = error;
      return undefined;
    }
  };
  const done = await eventually(tried, Boolean, 120_000).catch((error: unknown) => {
    throw new Error(`never answered: ${String(last)}`, { cause: error });
  });
  if (done === undefined) throw new Error(`never answered: ${String(last)}`);
  return done.result;
}

async function read<Body>(door: Door, path: string): Promise<Body> {
  return await through(async () => {
    const { status, body, text } = await (await door.client('mpr')).get(`/v1/registry/${path}`);
    if (status !== 200) throw new Error(text);
    return body as Body;
  });
}

async function slotSeq(door: Door): Promise<number> {
  return (await read<{ readonly slot_seq: number }>(door, `explain?slot=${SLOT}`)).slot_seq;
}

async function factsOf(door: Door): Promise<readonly RegistryFact[]> {
  const facts: RegistryFact[] = [];
  for (;;) {
    const page = await read<{ readonly facts: readonly RegistryFact[]; readonly cursor: string }>(
      door,
      `facts?limit=100&cursor=${facts.length}`,
    );
    if (page.facts.length === 0) return facts;
    facts.push(...page.facts);
  }
}

/** Each command that was answered with a fact is that fact, once; each that was refused is none; and nobody else did anything. */
export function demandToldOnce(facts: readonly RegistryFact[], told: ReadonlyMap<string, Told>): void {
  const byId = new Map(facts.map((fact) => [fact.event_id as string, fact]));
  expect(byId.size).toBe(facts.length);
  const environment = facts.flatMap(({ scopes }) => scopes.map((scope) => scope.environment))[0] ?? '';
  let done = 0;
  for (const [idempotency_key, one] of told) {
    const id: string = registryFactRecipe.derive({ environment, idempotency_key });
    if ('fact' in one) done += 1;
    expect([idempotency_key, byId.get(id)]).toEqual([idempotency_key, 'fact' in one ? one.fact : undefined]);
  }
  expect(facts.filter(({ reason }) => reason === REASON)).toHaveLength(done);
}

/** Facts in one order without gaps, each of a state that the one before left; and what is active after each. */
export function demandLifecycle(facts: readonly RegistryFact[]): readonly (string | null)[] {
  const states = new Map<string, string>();
  let active: string | null = null;
  return facts.map((fact, at) => {
    const { registry_seq, action, bundle, from_state, to_state, scopes, replaced } = fact;
    const name = `${bundle.bundle_id}@${bundle.bundle_version}`;
    expect([registry_seq, from_state]).toEqual([at + 1, states.get(name) ?? null]);
    states.set(name, to_state);
    if (scopes.some(({ bundle_slot }) => bundle_slot === SLOT)) {
      expect([registry_seq, replaced?.digest ?? null]).toEqual([registry_seq, active]);
      active = action === 'BUNDLE_RETIRED' ? null : bundle.digest;
    }
    return active;
  });
}

async function demandResolved(door: Door, facts: readonly RegistryFact[]): Promise<void> {
  const activeAfter = demandLifecycle(facts);
  const ask = async (query: string): Promise<string | null> => {
    const { resolutions } = await read<Resolved>(door, `resolve?slot=${SLOT}${query}`);
    expect(resolutions).toHaveLength(1);
    const [one] = resolutions;
    return one?.status === 'ACTIVE' ? one.bundle.digest : null;
  };
  expect(await ask('')).toBe(activeAfter.at(-1));
  for (const [at, expected] of activeAfter.entries())
    expect([at + 1, await ask(`&as_of_seq=${at + 1}`)]).toEqual([at + 1, expected]);
}

/** The bytes of each version that was published are there, and are its own. */
async function demandObjects(door: Door, facts: readonly RegistryFact[]): Promise<void> {
  const objects = await FilesObjects.open(join(door.data, 'objects'), new SystemClock());
  try {
    for (const { bundle, manifest } of facts) {
      const [artifact] = manifest?.artifacts ?? [];
      if (artifact === undefined) continue;
      const bytes = await objects.read(artifact.ref);
      expect(bundleDigest(JSON.parse(bytes.toString('utf8')) as Bundle)).toBe(bundle.digest);
    }
  } finally {
    await objects.close();
  }
}

/** The topic is told of each fact once and in their order: the embedded log is appended to in the transaction that notes it. */
async function demandOnControl(door: Door, facts: readonly RegistryFact[]): Promise<void> {
  const inside = await openInside(door.data);
  try {
    const tell = async (): Promise<readonly string[]> =>
      (await recordsOf(inside.bus, CONTROL)).flatMap(({ record }) => {
        const event = readEvent(record.value);
        return event.ok && event.event.eventType === 'mpr.bundle' ? [event.event.eventId] : [];
      });
    const told = await eventually(tell, (ids) => ids.length >= facts.length, 60_000);
    expect(told).toEqual(facts.map(({ event_id }) => event_id));
  } finally {
    await inside.close();
  }
}
