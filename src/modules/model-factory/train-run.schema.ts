import { type TLiteral, type TUnion, Type } from '@sinclair/typebox';
import { ActorSchema } from '../../rails/actor.js';
import { DigestSchema } from '../../rails/digest.js';
import { ActivationSchema, BundleRefSchema } from '../../rails/events/decision.schema.js';
import { PolicyRevSchema } from '../../rails/policy-rev.js';
import { RefSchema } from '../../rails/ref.js';
import { BundleSlotSchema } from '../../rails/registry/scope.js';
import { closed, safeInteger, type Sealed } from '../../rails/schema.js';
import { UtcMicrosSchema } from '../../rails/time.js';
import { FactoryPolicySchema } from './learning/gate-policy.schema.js';
import { RecipeSchema } from './learning/recipe.schema.js';

/** Raised with every change of what a training makes of the same inputs: an old run is then never taken for a new one. */
export const RUN_FORMAT = 2;

const literals = <const Name extends string>(names: readonly Name[]): TUnion<TLiteral<Name>[]> =>
  Type.Union<TLiteral<Name>[]>(names.map((name) => Type.Literal(name)));

/** `baseline_train`: a bundle is made by a recipe and judged. `candidate_eval`: a bundle that others made is judged. */
export const RUN_KINDS = ['baseline_train', 'candidate_eval'] as const;
export type RunKind = (typeof RUN_KINDS)[number];

export const RUN_STATES = [
  'QUEUED',
  'RESOLVING',
  'TRAINING',
  'EVAL_READY',
  'GATED',
  'PUBLISH_PENDING',
  'PUBLISHED',
  'REJECTED_INPUTS',
  'FAILED_GATES',
  'FAILED_CONFLICT',
  'FAILED_RETRY_EXHAUSTED',
  'CANCELLED',
] as const;
export type RunState = (typeof RUN_STATES)[number];

const RequestIdSchema = Type.String({ minLength: 1, maxLength: 128, pattern: '^[!-~]+$' });
const role = literals(['train', 'eval']);

/** What somebody asks for; a candidate of others' making comes beside it. */
export const TrainRequestSchema = closed({
  request_id: RequestIdSchema,
  kind: literals(RUN_KINDS),
  /** One with splits, or one to learn from and one to judge on. */
  datasets: Type.Array(
    closed({
      role,
      dataset_manifest_id: DigestSchema,
      /** What the bytes of the manifest are expected to be; another manifest is refused. */
      manifest_digest: Type.Optional(DigestSchema),
    }),
    { minItems: 1, maxItems: 2 },
  ),
  /** Of `baseline_train`; boosted trees on every feature unless given. */
  recipe: Type.Optional(RecipeSchema),
  /** Whose active bundle it is compared with. `primary` unless given. */
  slot: Type.Optional(BundleSlotSchema),
  /** Whether it goes to the registry once it has passed its gates. It does unless this is false. */
  publish: Type.Optional(Type.Boolean()),
});
export type TrainRequest = Sealed<typeof TrainRequestSchema>;

/** The request with everything settled that has a meaning. */
export const TrainPlanSchema = closed({
  kind: literals(RUN_KINDS),
  datasets: Type.Array(closed({ role, dataset_manifest_id: DigestSchema, manifest: RefSchema }), {
    minItems: 1,
    maxItems: 2,
  }),
  /** null where a candidate is judged. */
  recipe: Type.Union([RecipeSchema, Type.Null()]),
  candidate: Type.Union([closed({ bundle: BundleRefSchema, ref: RefSchema }), Type.Null()]),
  /** The whole policy: a run is judged by what was in force when it was asked for. */
  policy: closed({ policy_rev: PolicyRevSchema, body: FactoryPolicySchema }),
  slot: BundleSlotSchema,
  code_release: closed({
    version: Type.String({ maxLength: 64 }),
    run_format: safeInteger(1, 'of what a training makes'),
  }),
});
export type TrainPlan = Sealed<typeof TrainPlanSchema>;

/** What a run stands on beside its plan; found once, and kept however often the run is taken up. */
export const ResolvedSchema = closed({
  /** What the candidate is compared with; null: nothing was active in the slot. */
  active: Type.Union([closed({ bundle: BundleRefSchema, ref: RefSchema, activation: ActivationSchema }), Type.Null()]),
  /** The last fact of the registry that was looked at. */
  registry_seq: safeInteger(0, 'number of a fact'),
  /** Written into report and receipt. */
  decided_at_utc: UtcMicrosSchema,
});
export type Resolved = Sealed<typeof ResolvedSchema>;

/** What a training came to, by ref; the object that says so is the moment at which it is done. */
export const TrainedSchema = closed({
  train_run_id: DigestSchema,
  bundle: BundleRefSchema,
  result: literals(['PASS', 'FAIL']),
  reason_codes: Type.Array(Type.String({ maxLength: 100 }), { maxItems: 64 }),
  artifacts: closed({ bundle: RefSchema, report: RefSchema, report_html: RefSchema, gate_receipt: RefSchema }),
  /** Milliseconds by stage of the thread. */
  durations_ms: Type.Record(Type.String({ pattern: '^[a-z_]{1,40}$' }), Type.Number({ minimum: 0 })),
});
export type Trained = Sealed<typeof TrainedSchema>;

/** The fact of the registry that the bundle is a version by. */
export const PublishedSchema = closed({
  event_id: DigestSchema,
  registry_seq: safeInteger(1, 'number of a fact'),
  bundle: BundleRefSchema,
  state: Type.String({ maxLength: 64 }),
});
export type Published = Sealed<typeof PublishedSchema>;

const RunDetailSchema = closed({
  code: Type.Optional(Type.String({ maxLength: 100 })),
  says: Type.Optional(Type.String({ maxLength: 2_000 })),
  result: Type.Optional(literals(['PASS', 'FAIL'])),
});
export type RunDetail = Sealed<typeof RunDetailSchema>;

export const RunStatusSchema = closed({
  train_run_id: DigestSchema,
  kind: literals(RUN_KINDS),
  state: literals(RUN_STATES),
  detail: RunDetailSchema,
  /** Nothing more happens to it by itself: it has ended, or has passed its gates and nobody wants it published. */
  at_rest: Type.Boolean(),
  publish: Type.Boolean(),
  /** Trainings that were begun. More than one where a process died in the middle of one. */
  trainings: safeInteger(0, 'trainings'),
  /** Tries in a row that came to nothing; the last one for this reason. */
  tries: safeInteger(0, 'tries'),
  last_code: Type.Union([Type.String(), Type.Null()]),
  requested_at_utc: UtcMicrosSchema,
  requested_by: ActorSchema,
  changed_at_utc: UtcMicrosSchema,
  plan: TrainPlanSchema,
  resolved: Type.Union([ResolvedSchema, Type.Null()]),
  trained: Type.Union([TrainedSchema, Type.Null()]),
  published: Type.Union([PublishedSchema, Type.Null()]),
});
export type RunStatus = Sealed<typeof RunStatusSchema>;

/** ALREADY_DONE: the same inputs came to an end before, whoever asked. */
export const TrainAnswerSchema = closed({
  outcome: literals(['ACCEPTED', 'DUPLICATE', 'ALREADY_DONE']),
  run: RunStatusSchema,
});
export type TrainAnswer = Sealed<typeof TrainAnswerSchema>;
