import { type Actor, systemActor } from '../../rails/actor.js';
import type { Digest } from '../../rails/digest.js';
import {
  type GovernanceFact,
  type GovernanceFactKind,
  type StepTold,
  stepFact,
} from '../../rails/events/governance-fact.schema.js';
import type { UtcMicros } from '../../rails/time.js';
import type { RunDetail, Trained, TrainPlan } from './train-run.schema.js';

const REASON_MAX = 1_000;

const KIND_OF = {
  GATED: 'MF_TRAIN_PASSED',
  FAILED_GATES: 'MF_TRAIN_FAILED',
  FAILED_CONFLICT: 'MF_TRAIN_FAILED',
  FAILED_RETRY_EXHAUSTED: 'MF_TRAIN_FAILED',
  REJECTED_INPUTS: 'MF_TRAIN_REJECTED',
  CANCELLED: 'MF_TRAIN_CANCELLED',
} as const satisfies Record<string, GovernanceFactKind>;

/** That somebody asked for a run, that its gates opened, or that it ended: a row of what the factory keeps for ever. */
export type TrainRow = {
  readonly at: UtcMicros;
  /** Its place among rows of one time. */
  readonly key: string;
  readonly train_run_id: Digest;
  readonly plan: Pick<TrainPlan, 'kind' | 'datasets' | 'recipe' | 'candidate' | 'slot' | 'code_release'>;
  /** Who asked, or cancelled; null where nobody did, or it was not kept. */
  readonly actor: Actor | null;
} & (
  | { readonly state: 'ASKED'; readonly request_id: string }
  | {
      /** GATED: with PASS alone. */
      readonly state: keyof typeof KIND_OF;
      readonly seq: number;
      readonly detail: RunDetail;
      /** Of GATED and FAILED_GATES: what was judged. */
      readonly trained: Trained | null;
    }
);

/** The row as a fact of governance (law O5). Read again it is the same fact. That a bundle was published says the registry. */
export function trainFact(row: TrainRow, scope: string): GovernanceFact {
  const { at, train_run_id, plan, actor } = row;
  const { kind, datasets, slot, code_release } = plan;
  const bundle = plan.candidate?.bundle ?? plan.recipe?.bundle;
  const told: Pick<StepTold, 'scope' | 'subject' | 'at' | 'actor'> & { readonly detail: GovernanceFact['detail'] } = {
    ...{ scope, subject: train_run_id, at, actor: actor ?? systemActor('mf') },
    detail: {
      ...{ run_kind: kind, slot, code_version: code_release.version },
      ...(bundle === undefined ? {} : { bundle: `${bundle.bundle_id}@${bundle.bundle_version}` }),
    },
  };
  if (row.state === 'ASKED') {
    const names = datasets.map(({ role, dataset_manifest_id }) => `${dataset_manifest_id.slice(0, 12)}… (${role})`);
    return stepFact({
      ...{ ...told, kind: 'MF_TRAIN_REQUESTED', opId: row.request_id },
      reason: `${kind} was asked for of ${names.join(' and ')}`,
      evidence: datasets.map(({ manifest }) => manifest),
    });
  }
  const { state, seq, detail, trained } = row;
  const { artifacts } = trained ?? {};
  return stepFact({
    ...told,
    kind: KIND_OF[state],
    reason: reasonOf(state, detail, actor).slice(0, REASON_MAX),
    opId: train_run_id,
    step: seq,
    after: artifacts?.bundle ?? null,
    evidence: artifacts === undefined ? [] : [artifacts.gate_receipt, artifacts.report],
  });
}

function reasonOf(state: keyof typeof KIND_OF, { code, says = '' }: RunDetail, actor: Actor | null): string {
  switch (state) {
    case 'GATED':
      return 'every gate passed';
    case 'FAILED_GATES':
      return `gates: ${says}`;
    case 'CANCELLED':
      return actor === null ? 'cancelled; by whom was not kept' : 'cancelled';
    case 'FAILED_CONFLICT':
    case 'FAILED_RETRY_EXHAUSTED':
    case 'REJECTED_INPUTS':
      return `${code ?? state}: ${says}`;
  }
}
