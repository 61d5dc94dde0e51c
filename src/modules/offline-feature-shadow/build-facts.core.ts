import { type Actor, systemActor } from '../../rails/actor.js';
import type { Digest } from '../../rails/digest.js';
import { type GovernanceFact, type StepTold, stepFact } from '../../rails/events/governance-fact.schema.js';
import type { UtcMicros } from '../../rails/time.js';
import type { BuildDetail, BuildPlan } from './dataset.schema.js';

const REASON_MAX = 1_000;

/** That somebody asked for a build, or that it ended: a row of what the shadow keeps for ever. */
export type BuildRow = {
  readonly at: UtcMicros;
  /** Its place among rows of one time. */
  readonly key: string;
  readonly plan_id: Digest;
  readonly plan: Pick<BuildPlan, 'kind' | 'pins' | 'code_release'>;
  /** Who asked, or cancelled; null where nobody did, or it was not kept. */
  readonly actor: Actor | null;
} & (
  | { readonly state: 'ASKED'; readonly request_id: string }
  | {
      readonly state: 'DONE' | 'FAILED' | 'UNCHECKABLE' | 'CANCELLED';
      readonly seq: number;
      readonly detail: BuildDetail;
    }
);

const KIND_OF = {
  DONE: 'OFS_BUILD_COMPLETED',
  FAILED: 'OFS_BUILD_FAILED',
  UNCHECKABLE: 'OFS_BUILD_UNCHECKABLE',
  CANCELLED: 'OFS_BUILD_CANCELLED',
} as const;

/** The row as a fact of governance (law O5). Read again it is the same fact. */
export function buildFact(row: BuildRow, scope: string): GovernanceFact {
  const { at, plan_id, plan, actor } = row;
  const { kind, pins, code_release } = plan;
  const told: Pick<StepTold, 'scope' | 'subject' | 'at' | 'actor'> & { readonly detail: GovernanceFact['detail'] } = {
    ...{ scope, subject: plan_id, at, actor: actor ?? systemActor('ofs') },
    detail: { build_kind: kind, run_id: pins.run_id, code_version: code_release.version },
  };
  if (row.state === 'ASKED') {
    const { request_id } = row;
    const reason = `${kind} of run ${pins.run_id} was asked for`;
    return stepFact({ ...told, kind: 'OFS_BUILD_REQUESTED', opId: request_id, reason });
  }
  const { state, seq, detail } = row;
  const { manifest = null } = detail;
  return stepFact({
    ...told,
    kind: KIND_OF[state],
    reason: reasonOf(state, detail, actor).slice(0, REASON_MAX),
    opId: plan_id,
    step: seq,
    after: manifest,
    evidence: manifest === null ? [] : [manifest],
  });
}

function reasonOf(state: keyof typeof KIND_OF, { code, says, parity }: BuildDetail, actor: Actor | null): string {
  const compared =
    parity === undefined ? [] : [`parity ${parity.outcome}: ${parity.match} of ${parity.decisions} decisions equal`];
  switch (state) {
    case 'DONE':
      return ['published', ...compared].join('; ');
    case 'UNCHECKABLE':
      return ['not everything could be compared', ...compared].join('; ');
    case 'FAILED':
      return [`${code ?? 'FAILED'}: ${says ?? ''}`, ...compared].join('; ');
    case 'CANCELLED':
      return actor === null ? 'cancelled; by whom was not kept' : 'cancelled';
  }
}
