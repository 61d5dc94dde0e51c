import { type Static, Type } from '@sinclair/typebox';
import { BasisSchema } from '../basis.js';
import { type Brand } from '../brand.js';
import { CapabilityMaskSchema } from '../capability-mask.js';
import { DigestSchema } from '../digest.js';
import { EbRefSchema } from '../eb-ref.js';
import { EventIdSchema, EventTypeSchema } from '../envelope.schema.js';
import { PolicyRevSchema } from '../policy-rev.js';
import { brandedText, closed, safeInteger, type Sealed } from '../schema.js';
import { UtcMicrosSchema } from '../time.js';
import { PostureModeSchema } from './posture.schema.js';

export type DecisionId = Brand<string, 'DecisionId'>;
/** Names one effect: pins, input event, action domain and key; the intent's event id at once. */
export type IdempotencyKey = Brand<string, 'IdempotencyKey'>;

export const DecisionIdSchema = brandedText<DecisionId>({ pattern: '^[0-9a-f]{64}$', description: 'the decision' });
export const IdempotencyKeySchema = brandedText<IdempotencyKey>({
  pattern: '^[0-9a-f]{64}$',
  description: 'the same for every attempt at one effect',
});

/** Why, for machines: `CARD_VELOCITY_1H`, `CAPABILITY_BLOCK:allow_ieg`. Texts for people stand in the rules. */
export const ReasonCodeSchema = Type.String({ pattern: '^[A-Z][A-Z0-9_]{0,63}(:[A-Za-z0-9_.-]{1,80})?$' });

/** In order of severity: a later one takes precedence wherever outcomes are raised and never lowered. */
export const OUTCOMES = ['APPROVE', 'STEP_UP', 'QUEUE', 'DECLINE'] as const;
export type Outcome = (typeof OUTCOMES)[number];
export const OutcomeSchema = Type.Union(OUTCOMES.map((outcome) => Type.Literal(outcome)));

/** What became of one source of context. Each is a statement of its own: what was forbidden was not merely missing. */
export const CONTEXT_STATUSES = [
  'USED',
  'FORBIDDEN_BY_MASK',
  'NOT_REQUESTED_BY_PLAN',
  'UNAVAILABLE',
  'STALE_BEYOND_TOLERANCE',
  'NOT_FOUND',
  'LAGGING',
] as const;
export type ContextStatus = (typeof CONTEXT_STATUSES)[number];
export const ContextStatusSchema = Type.Union(CONTEXT_STATUSES.map((status) => Type.Literal(status)));

export const ScopeSchema = Type.String({
  pattern: '^[a-z][a-z0-9_-]{0,63}$',
  description: 'what is decided about: one decision per event and scope',
});

export const EntityKeySchema = Type.String({
  minLength: 1,
  maxLength: 256,
  description: 'whose partition the source event stands on; everything that follows from it stands there, too',
});

export const TargetRefSchema = closed({
  type: Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' }),
  id: Type.String({ minLength: 1, maxLength: 128, pattern: '^[!-~]([ -~]*[!-~])?$' }),
});

export const BundleRefSchema = closed({
  bundle_id: Type.String({ pattern: '^[a-z][a-z0-9._-]{0,99}$' }),
  bundle_version: Type.Integer({ minimum: 1 }),
  digest: DigestSchema,
});
export type BundleRef = Sealed<typeof BundleRefSchema>;

/** The fact of the registry that made a bundle active. Its number is the registry's cursor at that moment. */
export const ActivationSchema = closed({
  event_id: DigestSchema,
  registry_seq: safeInteger(1, 'number of the fact in the registry'),
});
export type Activation = Sealed<typeof ActivationSchema>;

/** A bundle that was active when it was decided, and by which fact. */
const activeBundle = { ...BundleRefSchema.properties, activation: ActivationSchema };

/** A score is a whole number of millionths: quantised once, before anybody compares or stores it. */
const scoreE6 = (description: string) => Type.Integer({ minimum: 0, maximum: 1_000_000, description });

const contribution = closed({
  feature: Type.String({ pattern: '^[a-z][a-z0-9_.]{0,79}$' }),
  /** As the model saw it; null: missing. */
  value: Type.Union([Type.String({ maxLength: 64 }), Type.Null()]),
  contribution_e6: Type.Integer({
    description: 'millionths of the score in its additive scale (log odds), above the base',
  }),
  reason_code: Type.Optional(ReasonCodeSchema),
});

/** What moved the score most, greatest first. */
const contributions = Type.Optional(Type.Array(contribution, { maxItems: 12 }));

const scored = {
  score_e6: Type.Optional(scoreE6('probability of fraud, in millionths')),
  /** Why there is no score. */
  skipped: Type.Optional(ReasonCodeSchema),
};

const ruleHit = closed({
  rule_id: Type.String({ pattern: '^[a-z][a-z0-9_.-]{0,99}$' }),
  list: Type.String({ pattern: '^[a-z][a-z0-9_-]{0,63}$' }),
  reason_code: ReasonCodeSchema,
  /** What the rule asks for; a rule that only flags asks for nothing. */
  outcome: Type.Optional(OutcomeSchema),
});

const ruleFault = closed({
  rule_id: Type.String({ pattern: '^[a-z][a-z0-9_.-]{0,99}$' }),
  fault: ReasonCodeSchema,
});

/** An action that the decision asks for, in full, so that the intents can be made again from the decision alone. */
export const PlannedActionSchema = closed({
  action_domain: Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' }),
  action_type: Type.String({ pattern: '^[a-z][a-z0-9_.]{0,63}$' }),
  action_key: Type.String({ minLength: 1, maxLength: 200 }),
  idempotency_key: IdempotencyKeySchema,
  target: TargetRefSchema,
});
export type PlannedAction = Sealed<typeof PlannedActionSchema>;

/**
 * `decision` v2: the verdict on one event with everything that it came from (settled once: the id names pins, event and scope, never what
 * happened to be in force). What is absent is absent with a reason. The pins stand in the envelope; `ts_utc` there is the source event's.
 */
export const DecisionSchema = closed(
  {
    decision_id: DecisionIdSchema,
    scope: ScopeSchema,
    entity_key: EntityKeySchema,
    outcome: OutcomeSchema,
    reason_codes: Type.Array(ReasonCodeSchema, { maxItems: 64 }),
    source_event: closed({
      event_id: EventIdSchema,
      event_type: EventTypeSchema,
      ts_utc: UtcMicrosSchema,
      payload_hash: DigestSchema,
      eb_ref: EbRefSchema,
    }),
    posture: closed({
      status: Type.Union([Type.Literal('USED'), Type.Literal('UNAVAILABLE'), Type.Literal('STALE')]),
      mode: PostureModeSchema,
      /** What DF kept to; without a usable posture the most restrictive one. */
      mask: CapabilityMaskSchema,
      scope_key: Type.Optional(Type.String({ maxLength: 200 })),
      posture_seq: Type.Optional(safeInteger(1, 'of the posture that was read')),
      policy_rev: Type.Optional(PolicyRevSchema),
      decided_at_utc: Type.Optional(UtcMicrosSchema),
    }),
    bundle: Type.Union([
      closed({ status: Type.Literal('ACTIVE'), ...activeBundle }),
      closed({ status: Type.Literal('ABSENT'), reason: ReasonCodeSchema }),
    ]),
    features: closed({
      status: ContextStatusSchema,
      reason: Type.Optional(ReasonCodeSchema),
      feature_snapshot_hash: Type.Optional(DigestSchema),
      definitions: Type.Optional(PolicyRevSchema),
      groups: Type.Optional(
        Type.Array(
          closed({
            name: Type.String({ pattern: '^[a-z][a-z0-9_-]{0,63}$' }),
            version: Type.Integer({ minimum: 1 }),
            status: Type.String({ pattern: '^[A-Z_]{1,32}$' }),
          }),
          { maxItems: 64 },
        ),
      ),
      /** Wanted by the plan and masked. */
      forbidden_groups: Type.Optional(Type.Array(Type.String(), { maxItems: 64 })),
      input_basis: Type.Optional(BasisSchema),
    }),
    graph: closed({
      status: ContextStatusSchema,
      reason: Type.Optional(ReasonCodeSchema),
      graph_context_hash: Type.Optional(DigestSchema),
      /** By which fields are which identifiers, and how far it was looked. */
      policy_rev: Type.Optional(PolicyRevSchema),
      integrity: Type.Optional(Type.Union([Type.Literal('CLEAN'), Type.Literal('DEGRADED')])),
      graph_version: Type.Optional(BasisSchema),
    }),
    model: closed({
      ...scored,
      contributions,
      /** The second opinion, where the policy has one: what the rules read is its score if there is one. */
      stage2: Type.Optional(closed({ ...activeBundle, ...scored, contributions })),
    }),
    rules: closed({
      policy_rev: PolicyRevSchema,
      hits: Type.Array(ruleHit, { maxItems: 64 }),
      /** Rules that could not be evaluated on this event, each with why; they count as not hit. */
      faults: Type.Array(ruleFault, { maxItems: 64 }),
      /** Evaluated and recorded; they never act. */
      shadow_hits: Type.Array(ruleHit, { maxItems: 64 }),
    }),
    shadow_bundles: Type.Array(closed({ ...activeBundle, ...scored }), { maxItems: 8 }),
    policy_rev: PolicyRevSchema,
    actions: Type.Array(PlannedActionSchema, { maxItems: 16 }),
  },
  { description: 'The verdict on one event, with everything that it came from.' },
);
export type Decision = Sealed<typeof DecisionSchema>;
export type MutableDecision = Static<typeof DecisionSchema>;
