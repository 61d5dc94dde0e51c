import { Type } from '@sinclair/typebox';
import { ActorSchema } from '../actor.js';
import { type Digest, DigestSchema } from '../digest.js';
import { defineRecipe } from '../identity-recipe.js';
import { type PolicyRev, PolicyRevSchema } from '../policy-rev.js';
import { type Ref, RefSchema } from '../ref.js';
import { closed, safeInteger, type Sealed } from '../schema.js';
import { UtcMicrosSchema } from '../time.js';

/** What a process was found to run under, and what people did with a policy. */
export const POLICY_FACT_KINDS = [
  'POLICY_IN_FORCE',
  'POLICY_PROPOSED',
  'POLICY_APPROVED',
  'POLICY_ACTIVATED',
  'POLICY_ROLLED_BACK',
  'POLICY_WITHDRAWN',
  'POLICY_REFUSED',
] as const;

export const GOVERNANCE_FACT_KINDS = [
  ...POLICY_FACT_KINDS,
  'RETENTION_CHANGED',
  'ARCHIVE_POLICY_CHANGED',
  'ARCHIVE_STARTED',
  'ARCHIVE_SEALED',
  'ARCHIVE_VERIFIED',
  'ARCHIVE_TRIMMED',
  'ARCHIVE_REFUSED',
  'ARCHIVE_GAP',
  'CORRIDOR_ANOMALY',
  'BACKFILL_DECLARED',
  'BACKFILL_APPROVED',
  'BACKFILL_STARTED',
  'BACKFILL_COMPLETED',
  'BACKFILL_FAILED',
  'BACKFILL_ABORTED',
  'REPLAY_DECLARED',
  'CUTOVER',
  'DRAIN_STARTED',
  'DRAIN_COMPLETED',
  'RUN_REPORT_GENERATED',
  'EVIDENCE_REF_RESOLVED',
  'JOB_DECLARED',
  'JOB_APPROVED',
  'JOB_STARTED',
  'JOB_COMPLETED',
  'JOB_FAILED',
  'JOB_ABORTED',
  'BUNDLE_PUBLISHED',
  'BUNDLE_APPROVED',
  'BUNDLE_PROMOTED_ACTIVE',
  'BUNDLE_ROLLED_BACK',
  'BUNDLE_RETIRED',
  'OFS_BUILD_REQUESTED',
  'OFS_BUILD_COMPLETED',
  'OFS_BUILD_UNCHECKABLE',
  'OFS_BUILD_FAILED',
  'OFS_BUILD_CANCELLED',
  'MF_TRAIN_REQUESTED',
  'MF_TRAIN_PASSED',
  'MF_TRAIN_FAILED',
  'MF_TRAIN_REJECTED',
  'MF_TRAIN_CANCELLED',
] as const;
export type GovernanceFactKind = (typeof GOVERNANCE_FACT_KINDS)[number];

const SideSchema = Type.Union([PolicyRevSchema, RefSchema, Type.Null()]);

/**
 * `gov.fact` v2, a control fact: something that governs the platform has changed or was tried, from what to what, by whom and why (laws C2, O5, R7).
 * It belongs to no world.
 */
export const GovernanceFactSchema = closed(
  {
    fact_id: DigestSchema,
    kind: Type.Union(GOVERNANCE_FACT_KINDS.map((kind) => Type.Literal(kind))),
    /** The installation: what the profile calls its environment. */
    scope: Type.String({ minLength: 1, maxLength: 64 }),
    /** What it is about: the id of a policy, of an operation, of a topic. */
    subject: Type.String({ minLength: 1, maxLength: 200, pattern: '^[!-~]+$' }),
    /** Who did it. Of POLICY_IN_FORCE: who found it; who wrote it is known to whoever keeps the profile. */
    actor: ActorSchema,
    /** null: nothing was there before, or the kind has no such side. */
    before: SideSchema,
    after: SideSchema,
    reason: Type.String({ minLength: 1, maxLength: 1_000 }),
    evidence: Type.Array(RefSchema, { maxItems: 16 }),
    /** What else is to be known of it, in few words and numbers; never a secret. */
    detail: Type.Record(
      Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' }),
      Type.Union([Type.String({ maxLength: 1_000 }), safeInteger(0, 'a count, a number')]),
      { maxProperties: 32, additionalProperties: false },
    ),
    /** The operation that it is a step of; null where nobody asked for it. */
    op_id: Type.Union([Type.String({ minLength: 1, maxLength: 200, pattern: '^[!-~]+$' }), Type.Null()]),
    step: safeInteger(0, 'place among facts of one kind of an operation'),
    supersedes: Type.Optional(DigestSchema),
    observed_at_utc: UtcMicrosSchema,
  },
  { description: 'A change of what governs the platform, or an attempt at one.' },
);
export type GovernanceFact = Sealed<typeof GovernanceFactSchema>;
export type FactSide = GovernanceFact['after'];

/** The revision of a policy on one side of a fact; undefined: there is none, or something else. */
export function policyRevOf(side: FactSide): PolicyRev | undefined {
  return side !== null && 'policy_id' in side ? side : undefined;
}

/** One fact per kind and step of an operation, whatever the time: a retry is the same fact, A→B→A→B are four. */
export const governanceFactRecipe = defineRecipe<
  { scope: string; op_id: string; kind: GovernanceFactKind; step: number },
  'GovernanceFactId'
>('gov.fact', 1, { scope: true, op_id: true, kind: true, step: true });

/** What one step of an operation has to tell. */
export interface StepTold {
  /** The installation. */
  readonly scope: string;
  readonly kind: GovernanceFactKind;
  readonly subject: string;
  readonly actor: GovernanceFact['actor'];
  readonly reason: string;
  readonly opId: string;
  readonly at: GovernanceFact['observed_at_utc'];
  readonly after?: FactSide;
  readonly detail?: GovernanceFact['detail'];
  readonly evidence?: readonly Ref[];
  /** Place among facts of its kind within the operation; 0 unless given. */
  readonly step?: number;
}

/** Told again it is the same fact, whoever makes it, and when. */
export function stepFact(told: StepTold): GovernanceFact {
  const { scope, kind, subject, actor, reason, opId, at, after = null, detail = {}, evidence = [], step = 0 } = told;
  return {
    fact_id: governanceFactRecipe.derive({ scope, op_id: opId, kind, step }) as string as Digest,
    ...{ kind, scope, subject, actor, before: null, after, reason, evidence: [...evidence], detail },
    ...{ op_id: opId, step, observed_at_utc: at },
  };
}

/** The fact before it is part of its name: a policy that comes back into force is another fact than the first time. */
export const policyInForceRecipe = defineRecipe<
  { scope: string; after: PolicyRev; before_fact: string | null },
  'GovernanceFactId'
>('gov.policy_in_force', 1, { scope: true, after: true, before_fact: true });
