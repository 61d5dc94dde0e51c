import type { ErrorCode } from '../../rails/errors/registry.js';
import { type GovernanceFact, policyRevOf } from '../../rails/events/governance-fact.schema.js';
import type { PolicyRev } from '../../rails/policy-rev.js';
import type { UtcMicros } from '../../rails/time.js';

export type RevisionState = 'PROPOSED' | 'APPROVED' | 'WITHDRAWN' | 'ACTIVE' | 'WAS_ACTIVE';

/** A revision as its facts make it. */
export interface LaneRevision {
  readonly policy_rev: PolicyRev;
  readonly state: RevisionState;
  /** null: it was found in force, and nobody proposed it here. */
  readonly proposed_by: string | null;
  readonly approved_by: string | null;
  /** Who brought it into its state, and when. */
  readonly by: string;
  readonly at_utc: UtcMicros;
}

/** What is in force, by which fact. */
export interface LaneHead {
  readonly fact_id: string;
  readonly policy_rev: PolicyRev;
  readonly by: string;
  readonly at_utc: UtcMicros;
}

/** A policy as its facts make it. */
export interface Lane {
  readonly head: LaneHead | null;
  /** The highest revision that was ever named; 0: none. */
  readonly known: number;
  /** By content digest, in the order in which they became known. */
  readonly revisions: ReadonlyMap<string, LaneRevision>;
  /** What was in force, oldest first, each change of it. */
  readonly past: readonly PolicyRev[];
}

/** Only for facts of one policy, oldest first. */
export function laneOf(facts: readonly GovernanceFact[]): Lane {
  const revisions = new Map<string, LaneRevision>();
  const past: PolicyRev[] = [];
  let head: LaneHead | null = null;
  let known = 0;
  for (const { kind, after, actor, fact_id, observed_at_utc: at_utc } of facts) {
    const rev = policyRevOf(after);
    if (rev === undefined || kind === 'POLICY_REFUSED') continue;
    known = Math.max(known, rev.revision);
    const by = actor.actor_id;
    const before = revisions.get(rev.content_digest);
    const kept = { proposed_by: before?.proposed_by ?? null, approved_by: before?.approved_by ?? null };
    const become = (state: RevisionState, more: Partial<LaneRevision> = {}): void => {
      revisions.set(rev.content_digest, { policy_rev: rev, ...kept, state, by, at_utc, ...more });
    };
    if (kind === 'POLICY_PROPOSED') become('PROPOSED', { proposed_by: by });
    else if (kind === 'POLICY_APPROVED') become('APPROVED', { approved_by: by });
    else if (kind === 'POLICY_WITHDRAWN') become('WITHDRAWN');
    else {
      const gone: LaneRevision | undefined = head === null ? undefined : revisions.get(head.policy_rev.content_digest);
      if (gone !== undefined)
        revisions.set(gone.policy_rev.content_digest, { ...gone, state: 'WAS_ACTIVE', by, at_utc });
      become('ACTIVE');
      head = { fact_id, policy_rev: rev, by, at_utc };
      past.push(rev);
    }
  }
  return { head, known, revisions, past };
}

export type LaneCommand =
  | { readonly action: 'propose'; readonly policy_rev: PolicyRev }
  | { readonly action: 'approve' | 'withdraw'; readonly revision: number }
  | { readonly action: 'activate'; readonly revision: number; readonly expected: string | null }
  /** Without a revision: the one that was in force before. */
  | { readonly action: 'rollback'; readonly revision?: number; readonly expected: string | null };

export type LaneFactKind = Exclude<
  Extract<GovernanceFact['kind'], `POLICY_${string}`>,
  'POLICY_IN_FORCE' | 'POLICY_REFUSED'
>;

export const LANE_FACTS: Readonly<Record<LaneCommand['action'], LaneFactKind>> = {
  propose: 'POLICY_PROPOSED',
  approve: 'POLICY_APPROVED',
  withdraw: 'POLICY_WITHDRAWN',
  activate: 'POLICY_ACTIVATED',
  rollback: 'POLICY_ROLLED_BACK',
};

export interface LaneRefusal {
  readonly ok: false;
  readonly code: ErrorCode;
  readonly detail: string;
  /** What it was about; null where there is no such revision. */
  readonly policy_rev: PolicyRev | null;
}
export type LaneVerdict = { readonly ok: true; readonly policy_rev: PolicyRev } | LaneRefusal;

/** Whether a command may be carried out on what the facts say, and which revision it is about. */
export function judgeLane(
  lane: Lane,
  command: LaneCommand,
  { actor, fourEyes }: { readonly actor: string; readonly fourEyes: boolean },
): LaneVerdict {
  if (command.action === 'propose') {
    const { policy_rev } = command;
    if (policy_rev.revision > lane.known) return { ok: true, policy_rev };
    return refused('OPS_REVISION_USED', `revision ${lane.known} is known already`, policy_rev);
  }
  if (command.action === 'activate' || command.action === 'rollback') {
    const { head } = lane;
    if ((head?.fact_id ?? null) !== command.expected) {
      const by =
        head === null
          ? 'nothing is in force'
          : `revision ${head.policy_rev.revision} since ${head.at_utc} by ${head.by}`;
      return refused('OPS_HEAD_MOVED', `in force is another than you saw: ${by}`, head?.policy_rev ?? null);
    }
  }
  const found =
    command.action === 'rollback' ? rollbackTarget(lane, command.revision) : revisionOf(lane, command.revision);
  if (found === undefined) {
    if (command.action === 'rollback' && command.revision === undefined)
      return refused('OPS_NO_ROLLBACK_TARGET', 'no other revision was in force before', null);
    return refused('OPS_REVISION_UNKNOWN', `revision ${String(command.revision)} was never proposed or in force`, null);
  }
  return judgeFound(lane, command.action, found, { actor, fourEyes });
}

function judgeFound(
  lane: Lane,
  action: 'approve' | 'withdraw' | 'activate' | 'rollback',
  found: LaneRevision,
  { actor, fourEyes }: { readonly actor: string; readonly fourEyes: boolean },
): LaneVerdict {
  const { policy_rev, state, by, at_utc } = found;
  const forbidden = (): LaneRefusal =>
    refused('OPS_STATE_FORBIDS', `revision ${policy_rev.revision} is ${state} since ${at_utc} by ${by}`, policy_rev);
  switch (action) {
    case 'approve':
      if (state !== 'PROPOSED') return forbidden();
      if (fourEyes && found.proposed_by === actor)
        return refused('OPS_SELF_APPROVAL', `${actor} proposed revision ${policy_rev.revision}`, policy_rev);
      break;
    case 'withdraw':
      if (state !== 'PROPOSED' && state !== 'APPROVED') return forbidden();
      break;
    case 'activate':
      if (state !== 'APPROVED') return forbidden();
      // Revisions rise (law C1): what was overtaken is proposed again under a number of its own.
      if (lane.past.some(({ revision }) => revision > policy_rev.revision))
        return refused(
          'OPS_STATE_FORBIDS',
          `revision ${policy_rev.revision} was overtaken by a higher one`,
          policy_rev,
        );
      break;
    case 'rollback':
      if (state !== 'WAS_ACTIVE') return forbidden();
  }
  return { ok: true, policy_rev };
}

function revisionOf(lane: Lane, revision: number): LaneRevision | undefined {
  // Two contents under one revision are told of by facts of what was found; the later one counts.
  return [...lane.revisions.values()].filter(({ policy_rev }) => policy_rev.revision === revision).at(-1);
}

function rollbackTarget(lane: Lane, revision: number | undefined): LaneRevision | undefined {
  if (revision !== undefined) return revisionOf(lane, revision);
  const now = lane.head?.policy_rev.content_digest;
  const before = lane.past.filter(({ content_digest }) => content_digest !== now).at(-1);
  return before === undefined ? undefined : lane.revisions.get(before.content_digest);
}

function refused(code: ErrorCode, detail: string, policyRev: PolicyRev | null): LaneRefusal {
  return { ok: false, code, detail, policy_rev: policyRev };
}
