import { Type } from '@sinclair/typebox';
import { ActorSchema } from '../actor.js';
import { PolicyRevSchema } from '../policy-rev.js';
import { closed, type Sealed } from '../schema.js';
import {
  DecisionIdSchema,
  EntityKeySchema,
  IdempotencyKeySchema,
  OutcomeSchema,
  PlannedActionSchema,
  ReasonCodeSchema,
  ScopeSchema,
} from './decision.schema.js';

export const ActionOriginSchema = Type.Union([Type.Literal('DF'), Type.Literal('CASE'), Type.Literal('OPS')]);

/** `action_intent` v1: somebody who may ask wants one effect. Its event id is its idempotency key. */
export const ActionIntentSchema = closed(
  {
    ...PlannedActionSchema.properties,
    idempotency_key: IdempotencyKeySchema,
    decision_id: DecisionIdSchema,
    scope: ScopeSchema,
    entity_key: EntityKeySchema,
    origin: ActionOriginSchema,
    /** On whose behalf; of intents of decisions the unit itself. */
    actor: ActorSchema,
    /** What the effector may tell: the verdict and its reasons, by code. */
    outcome: OutcomeSchema,
    reason_codes: Type.Array(ReasonCodeSchema, { maxItems: 64 }),
    policy_rev: PolicyRevSchema,
  },
  { description: 'A wish for one effect, for the one executor to judge and carry out.' },
);
export type ActionIntent = Sealed<typeof ActionIntentSchema>;
