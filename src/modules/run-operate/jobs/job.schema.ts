import { type TLiteral, type TUnion, Type } from '@sinclair/typebox';
import { type Actor, ActorSchema } from '../../../rails/actor.js';
import { digestCanonical, type JsonObject } from '../../../rails/canonical-json.js';
import type { Digest } from '../../../rails/digest.js';
import { PolicyRevSchema } from '../../../rails/policy-rev.js';
import { RefSchema } from '../../../rails/ref.js';
import { closed, type Sealed } from '../../../rails/schema.js';
import { UtcMicrosSchema } from '../../../rails/time.js';

export const JOB_STATES = ['DECLARED', 'APPROVED', 'RUNNING', 'VERIFYING', 'COMPLETED', 'FAILED', 'ABORTED'] as const;
export type JobState = (typeof JOB_STATES)[number];
const ENDED: ReadonlySet<JobState> = new Set(['COMPLETED', 'FAILED', 'ABORTED']);

export function hasEnded(state: JobState): boolean {
  return ENDED.has(state);
}

/** In lower case, since it is part of the name of an object. */
export const OpIdSchema = Type.String({ pattern: '^[a-z0-9_=-][a-z0-9._=-]{0,119}$' });
export const JobKindNameSchema = Type.String({ pattern: '^[a-z][a-z0-9_]{0,39}$' });
export const ScopeSchema = Type.Unsafe<JsonObject>({ type: 'object' });
export const PurposeSchema = Type.String({ minLength: 1, maxLength: 300 });

const literals = <const Name extends string>(names: readonly Name[]): TUnion<TLiteral<Name>[]> =>
  Type.Union<TLiteral<Name>[]>(names.map((name) => Type.Literal(name)));

/** What somebody declares to do, before anything is done. */
export const JobIntentSchema = closed({
  op_id: OpIdSchema,
  kind: JobKindNameSchema,
  /** What it may touch; each kind says which members. */
  scope: ScopeSchema,
  purpose: PurposeSchema,
});
export type JobIntent = Sealed<typeof JobIntentSchema>;

export const JobDetailSchema = closed({
  code: Type.Optional(Type.String()),
  says: Type.Optional(Type.String()),
  receipt: Type.Optional(RefSchema),
});
export type JobDetail = Sealed<typeof JobDetailSchema>;

export const JobStatusSchema = closed({
  op_id: OpIdSchema,
  kind: JobKindNameSchema,
  scope: ScopeSchema,
  purpose: PurposeSchema,
  state: literals(JOB_STATES),
  detail: JobDetailSchema,
  declared_by: ActorSchema,
  declared_at_utc: UtcMicrosSchema,
  changed_at_utc: UtcMicrosSchema,
});
export type JobStatus = Sealed<typeof JobStatusSchema>;

/** Stands in `gov/jobs/<op_id>/receipt.json` before the job is COMPLETED or FAILED, and never changes. */
export const JobReceiptSchema = closed(
  {
    op_id: OpIdSchema,
    kind: JobKindNameSchema,
    scope: ScopeSchema,
    purpose: PurposeSchema,
    declared_by: ActorSchema,
    declared_at_utc: UtcMicrosSchema,
    outcome: literals(['COMPLETED', 'FAILED']),
    /** What was done; null where it failed before it was. */
    outputs: Type.Union([ScopeSchema, Type.Null()]),
    /** What was looked at again afterwards. */
    verified: Type.Union([ScopeSchema, Type.Null()]),
    fault: Type.Optional(closed({ code: Type.String(), says: Type.String() })),
    policy_rev: PolicyRevSchema,
    component_version: Type.String(),
    ended_at_utc: UtcMicrosSchema,
  },
  { description: 'What a job did, for whom and why.' },
);
export type JobReceipt = Sealed<typeof JobReceiptSchema>;

export interface DeclaredJob {
  readonly intent: JobIntent;
  readonly digest: Digest;
  readonly actor: Actor;
}

export const JobAnswerSchema = closed({ outcome: literals(['ACCEPTED', 'DUPLICATE']), job: JobStatusSchema });
export type JobAnswer = Sealed<typeof JobAnswerSchema>;

/** Under one op_id there is one of these. */
export function jobIntentDigest({ op_id, kind, scope, purpose }: JobIntent): Digest {
  return digestCanonical({ recipe: 'ops.job.v1', op_id, kind, scope, purpose });
}
