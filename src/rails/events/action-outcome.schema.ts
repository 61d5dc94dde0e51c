import { Type } from '@sinclair/typebox';
import { ActorSchema } from '../actor.js';
import { DigestSchema } from '../digest.js';
import { EventIdSchema } from '../envelope.schema.js';
import { PolicyRevSchema } from '../policy-rev.js';
import { closed, safeInteger, type Sealed } from '../schema.js';
import { UtcMicrosSchema } from '../time.js';
import { ActionOriginSchema } from './action-intent.schema.js';
import { DecisionIdSchema, EntityKeySchema, IdempotencyKeySchema, ReasonCodeSchema } from './decision.schema.js';

/**
 * `action_outcome` v1: what became of one intent, once. UNKNOWN is never reported: it is resolved first. `ts_utc` of the envelope is the
 * intent's; wall-clock times stand inside.
 */
export const ActionOutcomeSchema = closed(
  {
    outcome_id: DigestSchema,
    idempotency_key: IdempotencyKeySchema,
    intent_event_id: EventIdSchema,
    decision_id: DecisionIdSchema,
    entity_key: EntityKeySchema,
    action_domain: Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' }),
    action_type: Type.String({ pattern: '^[a-z][a-z0-9_.]{0,63}$' }),
    status: Type.Union([Type.Literal('EXECUTED'), Type.Literal('DENIED'), Type.Literal('FAILED')]),
    reason_codes: Type.Array(ReasonCodeSchema, { maxItems: 16 }),
    attempt_no: safeInteger(0, 'the attempt that ended it; 0 when nothing was attempted'),
    retryable: Type.Boolean(),
    origin: ActionOriginSchema,
    actor: ActorSchema,
    policy_rev: PolicyRevSchema,
    /** The rule of the policy that allowed or denied it. */
    matched_rule_id: Type.Optional(Type.String({ pattern: '^[a-z][a-z0-9_.-]{0,99}$' })),
    /** The effector's own name for what it did. */
    effector_ref: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
    started_at_utc: Type.Optional(UtcMicrosSchema),
    completed_at_utc: UtcMicrosSchema,
  },
  { description: 'What became of an intent.' },
);
export type ActionOutcome = Sealed<typeof ActionOutcomeSchema>;
