import type { Actor } from '../../rails/actor.js';
import type { ErrorCode } from '../../rails/errors/registry.js';
import type { BundleRef } from '../../rails/events/decision.schema.js';
import type { BundleState, RegistryAction } from '../../rails/events/registry-fact.schema.js';
import type { BundleSlot } from '../../rails/registry/scope.js';
import type { RegistryPolicy } from './model-registry.policy.js';

/** A version of a bundle as its facts make it. Whether it is active somewhere is the slots' matter. */
export interface VersionNow {
  readonly ref: BundleRef;
  readonly state: BundleState;
  readonly publisher: string;
}

/** A slot as its facts make it. */
export interface SlotNow {
  /** Number of its last fact; 0 where nothing ever happened. */
  readonly seq: number;
  readonly active: BundleRef | null;
  /** Who made it so. */
  readonly by: string | null;
}

/** What somebody wants done with a version that is published. */
export type Command =
  | { readonly action: 'approve'; readonly bundle: Named }
  | { readonly action: 'promote'; readonly bundle: Named; readonly slot: BundleSlot; readonly expected_seq: number }
  | {
      readonly action: 'rollback';
      /** Absent: the one that was active before. */
      readonly bundle?: Named;
      readonly slot: BundleSlot;
      readonly expected_seq: number;
    }
  | { readonly action: 'retire'; readonly bundle: Named };

export interface Named {
  readonly bundle_id: string;
  readonly bundle_version: number;
}

/** All that a command is judged by, as it stands under the lock. */
export interface Seen {
  /** The version that is named, or that a rollback goes back to. */
  readonly version: VersionNow | null;
  /** The slot that is named. */
  readonly slot: SlotNow | null;
  /** Where the version is active now. */
  readonly activeIn: readonly BundleSlot[];
  /** Versions that were active in the slot before what is now, youngest first, each once. */
  readonly before: readonly VersionNow[];
}

/** What comes of a command: a fact, and what it makes of slots. */
export interface Change {
  readonly action: RegistryAction;
  readonly version: VersionNow;
  readonly toState: BundleState;
  /** Slots that change, and whether the version is active in them then, or nothing. */
  readonly slots: readonly BundleSlot[];
  readonly activates: boolean;
  readonly replaced: BundleRef | null;
}

export interface RegistryRefusal {
  readonly code: ErrorCode;
  readonly detail: string;
}

export type Verdict =
  { readonly ok: true; readonly change: Change } | { readonly ok: false; readonly refusal: RegistryRefusal };

/**
 * The lifecycle of a version: REGISTERED → APPROVED → (active in slots) → RETIRED. What is ineligible stays so; a better one is another version.
 * Retiring an active one leaves its slots with none: never two are active in one, and never does another silently take its place (law R9).
 */
export function judgeCommand(command: Command, seen: Seen, policy: RegistryPolicy, actor: Actor): Verdict {
  switch (command.action) {
    case 'approve':
      return approve(seen, policy, actor);
    case 'promote':
      return promote(command, seen, policy);
    case 'rollback':
      return rollBack(command, seen, policy);
    case 'retire':
      return retire(seen);
  }
}

function approve({ version }: Seen, { four_eyes }: RegistryPolicy, actor: Actor): Verdict {
  if (version === null) return refused('MPR_BUNDLE_UNKNOWN', 'no such version was published');
  if (version.state !== 'REGISTERED_ELIGIBLE')
    return refused('MPR_STATE_FORBIDS', `it is ${version.state}; REGISTERED_ELIGIBLE is approved`);
  if (four_eyes && version.publisher === actor.actor_id)
    return refused('MPR_FOUR_EYES', `${actor.actor_id} published it; somebody else approves it`);
  return done({
    action: 'BUNDLE_APPROVED',
    version,
    toState: 'APPROVED',
    slots: [],
    activates: false,
    replaced: null,
  });
}

function promote(
  { slot, expected_seq }: Extract<Command, { action: 'promote' }>,
  seen: Seen,
  policy: RegistryPolicy,
): Verdict {
  const { version } = seen;
  if (version === null) return refused('MPR_BUNDLE_UNKNOWN', 'no such version was published');
  const fault = slotFault(slot, expected_seq, seen, policy) ?? usable(slot, version, policy);
  if (fault !== null) return { ok: false, refusal: fault };
  if (sameVersion(seen.slot?.active ?? null, version.ref))
    return refused('MPR_STATE_FORBIDS', `it is active in ${slot} already`);
  return activated('BUNDLE_PROMOTED_ACTIVE', slot, version, seen);
}

function rollBack(
  { slot, expected_seq, bundle }: Extract<Command, { action: 'rollback' }>,
  seen: Seen,
  policy: RegistryPolicy,
): Verdict {
  const stale = slotFault(slot, expected_seq, seen, policy);
  if (stale !== null) return { ok: false, refusal: stale };
  const candidates = bundle === undefined ? seen.before : seen.before.filter(({ ref }) => sameVersion(ref, bundle));
  const version = candidates.find((each) => usable(slot, each, policy) === null);
  if (version !== undefined) return activated('BUNDLE_ROLLED_BACK', slot, version, seen);
  const wanted = bundle === undefined ? 'no version' : `${bundle.bundle_id} version ${bundle.bundle_version}`;
  return refused('MPR_NO_ROLLBACK_TARGET', `${wanted} was active in ${slot} before and may be so again`);
}

function retire({ version, activeIn }: Seen): Verdict {
  if (version === null) return refused('MPR_BUNDLE_UNKNOWN', 'no such version was published');
  if (version.state === 'RETIRED') return refused('MPR_STATE_FORBIDS', 'it is RETIRED already');
  return done({
    action: 'BUNDLE_RETIRED',
    version,
    toState: 'RETIRED',
    slots: activeIn,
    activates: false,
    replaced: activeIn.length > 0 ? version.ref : null,
  });
}

/** One of two who act on the same sight wins; the other is told by whom. */
function slotFault(slot: BundleSlot, expected: number, seen: Seen, { slots }: RegistryPolicy): RegistryRefusal | null {
  if (!slots.some(({ name }) => name === slot)) return { code: 'MPR_SLOT_UNKNOWN', detail: `there is no slot ${slot}` };
  const { seq, active, by } = seen.slot ?? { seq: 0, active: null, by: null };
  if (seq === expected) return null;
  const what = active === null ? 'nothing' : `${active.bundle_id} version ${active.bundle_version}`;
  return { code: 'MPR_CONFLICT', detail: `${by ?? 'nobody'} made ${what} active in ${slot} by fact ${seq} meanwhile` };
}

function usable(slot: BundleSlot, { state }: VersionNow, { slots }: RegistryPolicy): RegistryRefusal | null {
  const needs = slots.find(({ name }) => name === slot)?.needs ?? 'APPROVED';
  if (state === 'APPROVED' || (needs === 'REGISTERED' && state !== 'RETIRED')) return null;
  return { code: 'MPR_STATE_FORBIDS', detail: `it is ${state}, and ${slot} takes what is ${needs}` };
}

function activated(action: RegistryAction, slot: BundleSlot, version: VersionNow, seen: Seen): Verdict {
  const replaced = seen.slot?.active ?? null;
  return done({ action, version, toState: version.state, slots: [slot], activates: true, replaced });
}

export function sameVersion(a: Named | null, b: Named): boolean {
  return a !== null && a.bundle_id === b.bundle_id && a.bundle_version === b.bundle_version;
}

function done(change: Change): Verdict {
  return { ok: true, change };
}

function refused(code: ErrorCode, detail: string): Verdict {
  return { ok: false, refusal: { code, detail } };
}
