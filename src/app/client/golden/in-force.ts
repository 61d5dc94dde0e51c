import type { RegistryFact } from '../../../rails/events/registry-fact.schema.js';
import { named } from '../decided.js';
import { type DecisionAnswerView, DecisionApi } from '../decision-api.js';
import { thousands } from '../progress.core.js';
import { type BundleName, RegistryApi } from '../registry-api.js';
import { type DecidedWorld, short } from './decided-world.js';
import { passed, type Way } from './hop.js';

const SLOT = 'primary';
const PAGE = 200;
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

/** What people and the factory did to bundles on the way, in the order of the facts; what the installation ships came before. @throws HopFailed */
export async function recorded(way: Way, bundle: BundleName, promoted: RegistryFact): Promise<void> {
  const api = new RegistryApi(way.api);
  const { facts } = await api.show(bundle);
  const actions = facts.map(({ action }) => action);
  const wanted = ['BUNDLE_PUBLISHED', 'BUNDLE_APPROVED', 'BUNDLE_PROMOTED_ACTIVE'];
  const authors = new Map(facts.map(({ action, actor }) => [action, actor.actor_id]));
  passed(way, {
    units: 'mpr, ops',
    what: 'what was changed is recorded, each with its author',
    proof: facts.map(({ action, actor }) => `${action.replace('BUNDLE_', '')} by ${actor.actor_id}`).join(', '),
    ok:
      JSON.stringify(actions) === JSON.stringify(wanted) &&
      facts.at(-1)?.event_id === promoted.event_id &&
      authors.get('BUNDLE_PUBLISHED') !== authors.get('BUNDLE_APPROVED'),
    document: { facts },
  });
}
