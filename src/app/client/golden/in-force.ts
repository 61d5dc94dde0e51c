import type { RegistryFact } from '../../../rails/events/registry-fact.schema.js';
import { ChangesApi } from '../changes-api.js';
import { named } from '../decided.js';
import { type DecisionAnswerView, DecisionApi } from '../decision-api.js';
import { thousands } from '../progress.core.js';
import { type BundleName, RegistryApi } from '../registry-api.js';
import { type DecidedWorld, short } from './decided-world.js';
import { passed, type Way } from './hop.js';

const SLOT = 'primary';
const PAGE = 200;
/** More than are told between the beginning of the way and its end; on servers of others there may be more before. */
const FACTS_MAX = 200;
/** So many decisions are asked for at once. */
const AT_ONCE = 20;

/** Whoever publishes does not decide: a person reads the evaluation, approves, and makes the version active. @throws HopFailed */
export async function putInForce(way: Way, bundle: BundleName): Promise<RegistryFact> {
  const api = new RegistryApi(way.api);
  const key = `golden-${bundle.bundle_id}-${bundle.bundle_version}`;
  const { fact: approved } = await api.approve({
    bundle,
    reason: 'the evaluation was read',
    idempotency_key: `${key}-approve`,
  });
  const { slot_seq } = await api.explain(SLOT);
  const { fact: promoted } = await api.promote({
    ...{ bundle, slot: SLOT, expected_seq: slot_seq, reason: 'better on the payments that it has not seen' },
    idempotency_key: `${key}-promote`,
  });
  const { replaced } = promoted;
  passed(way, {
    units: 'mpr',
    what: 'approved and made active by a person',
    proof: `${named(promoted.bundle)} in place of ${replaced === null ? 'nothing' : named(replaced)}; approved by ${approved.actor.actor_id}, active by fact ${promoted.registry_seq} (${short(promoted.event_id)}) of ${promoted.actor.actor_id}`,
    ok: promoted.action === 'BUNDLE_PROMOTED_ACTIVE',
    document: { approved, promoted },
  });
  return promoted;
}

type Cited = 'promoted' | 'unanswered' | 'another';

function citedBy({ decision: { bundle } }: DecisionAnswerView, promoted: RegistryFact): Cited {
  if (bundle.status === 'ABSENT') return bundle.reason === 'REGISTRY_UNAVAILABLE' ? 'unanswered' : 'another';
  const same = bundle.digest === promoted.bundle.digest && bundle.activation.event_id === (promoted.event_id as string);
  return same ? 'promoted' : 'another';
}

/**
 * Every decision of the run is asked which bundle it was made by, and which fact made that one active. None may cite another; on a busy machine
 * some may have had no answer from the registry in time, which they say: most must have had one.
 *
 * @throws HopFailed
 */
export async function citedByAll(way: Way, { run, payments }: DecidedWorld, promoted: RegistryFact): Promise<void> {
  const api = new DecisionApi(way.api);
  const found: Record<Cited, number> = { promoted: 0, unanswered: 0, another: 0 };
  let looked = 0;
  let cursor: string | undefined;
  do {
    const page = await api.decisions({ run: run.run_id, limit: PAGE, cursor });
    for (let at = 0; at < page.decisions.length; at += AT_ONCE) {
      const views = await Promise.all(
        page.decisions.slice(at, at + AT_ONCE).map(async ({ decision_id }) => await api.decision(decision_id)),
      );
      for (const view of views) found[citedBy(view, promoted)] += 1;
      looked += views.length;
      way.progress.at('Asking decisions what they cite', looked, payments);
    }
    cursor = page.next_cursor;
  } while (cursor !== undefined);
  const others = [
    ...(found.unanswered === 0 ? [] : [`; the registry did not answer ${thousands(found.unanswered)} in time`]),
    ...(found.another === 0 ? [] : [`; ${thousands(found.another)} cite ANOTHER`]),
  ];
  passed(way, {
    units: 'df, mpr',
    what: 'the next decisions cite the new bundle and its activation',
    proof: `${thousands(found.promoted)} of ${thousands(payments)} cite ${named(promoted.bundle)} and fact ${promoted.registry_seq}${others.join('')}`,
    ok: looked === payments && found.another === 0 && found.promoted * 2 > payments,
    document: { looked, ...found, bundle: promoted.bundle, activation: promoted.event_id },
  });
}

/** What was done on the way that a fact tells of. */
export interface Done {
  readonly bundle: BundleName;
  readonly promoted: RegistryFact;
  /** Of the dataset that was learned from, and of the proof that followed. */
  readonly builds: readonly string[];
  readonly trainRunId: string;
}

const OF_BUNDLE = ['BUNDLE_PUBLISHED', 'BUNDLE_APPROVED', 'BUNDLE_PROMOTED_ACTIVE'];
const OF_BUILD = ['OFS_BUILD_REQUESTED', 'OFS_BUILD_COMPLETED'];
const OF_TRAINING = ['MF_TRAIN_REQUESTED', 'MF_TRAIN_PASSED'];

/**
 * What people asked for, what units did about it and what was done to bundles on the way, each in the order of its facts and with its author; what the
 * installation ships came before.
 *
 * @throws HopFailed
 */
export async function recorded(way: Way, { bundle, promoted, builds, trainRunId }: Done): Promise<void> {
  const { facts } = await new RegistryApi(way.api).show(bundle);
  const changes = new ChangesApi(way.api);
  const told = [...(await changes.facts('ofs', {}, FACTS_MAX)), ...(await changes.facts('mf', {}, FACTS_MAX))];
  const lines = [
    ...[...builds, trainRunId].map((id, at) => ({
      wanted: at < builds.length ? OF_BUILD : OF_TRAINING,
      found: told.filter(({ subject }) => subject === id).reverse(),
    })),
    { wanted: OF_BUNDLE, found: facts.map((fact) => ({ kind: fact.action, actor: fact.actor })) },
  ].map(({ wanted, found }) => {
    const [first, second] = found;
    return {
      says: found.map(({ kind, actor }) => `${kind} by ${actor.actor_id}`).join(', '),
      // Whoever asks or publishes is not the one who carries out or approves.
      ok:
        JSON.stringify(found.map(({ kind }) => kind)) === JSON.stringify(wanted) &&
        first?.actor.actor_id !== second?.actor.actor_id,
    };
  });
  passed(way, {
    units: 'ofs, mf, mpr, ops',
    what: 'what was changed is recorded, each with its author',
    proof: lines.map(({ says, ok }) => (ok ? says : `NOT ${says || 'nothing'}`)).join('; '),
    ok: lines.every(({ ok }) => ok) && facts.at(-1)?.event_id === promoted.event_id,
    document: { facts, told },
  });
}
