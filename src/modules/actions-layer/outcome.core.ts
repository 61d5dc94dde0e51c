import { canonicalJson } from '../../rails/canonical-json.js';
import { outcomeIdRecipe } from '../../rails/decision/ids.js';
import type { Digest } from '../../rails/digest.js';
import type { ActionIntent } from '../../rails/events/action-intent.schema.js';
import type { ActionOutcome } from '../../rails/events/action-outcome.schema.js';
import type { RunPins } from '../../rails/pins.js';
import type { PolicyRev } from '../../rails/policy-rev.js';
import type { UtcMicros } from '../../rails/time.js';
import type { Authorised } from './authorise.core.js';

export const ACTIONS_PRODUCER = 'actions-layer';

/** An intent as it stands on the bus. */
export interface TakenIntent {
  readonly pins: RunPins;
  readonly eventId: string;
  readonly tsUtc: UtcMicros;
  readonly intent: ActionIntent;
  readonly offset: number;
}

export interface MadeOutcome {
  readonly outcome: ActionOutcome;
  /** The event that is published, the same bytes at every attempt. */
  readonly event: string;
}

/** What became of an intent, written once: times and all, so that it can be told again in the same words. */
export function outcomeOf(
  { pins, eventId, tsUtc, intent }: TakenIntent,
  authorised: Authorised,
  policyRev: PolicyRev,
  now: UtcMicros,
): MadeOutcome {
  const attempt_no = authorised.allowed ? 1 : 0;
  const outcome_id = outcomeIdRecipe.derive({
    pins,
    idempotency_key: intent.idempotency_key,
    attempt_no,
  }) as string as Digest;
  const { ruleId } = authorised;
  const outcome: ActionOutcome = {
    outcome_id,
    idempotency_key: intent.idempotency_key,
    intent_event_id: eventId as ActionOutcome['intent_event_id'],
    decision_id: intent.decision_id,
    entity_key: intent.entity_key,
    action_domain: intent.action_domain,
    action_type: intent.action_type,
    status: authorised.allowed ? 'EXECUTED' : 'DENIED',
    reason_codes: authorised.allowed ? [] : [authorised.reason],
    attempt_no,
    retryable: false,
    origin: intent.origin,
    actor: intent.actor,
    policy_rev: policyRev,
    ...(ruleId === null ? {} : { matched_rule_id: ruleId }),
    ...(authorised.allowed ? { started_at_utc: now } : {}),
    completed_at_utc: now,
  };
  const event = canonicalJson({
    ...pins,
    event_id: outcome_id,
    event_type: 'action_outcome',
    schema_version: 'v1',
    producer: ACTIONS_PRODUCER,
    parent_event_id: eventId,
    ts_utc: tsUtc,
    payload: outcome,
  });
  return { outcome, event };
}
