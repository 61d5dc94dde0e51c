import { canonicalJson, inOrder } from '../../rails/canonical-json.js';
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

/** What an intent came to, by whatever way. */
export interface Result {
  readonly status: ActionOutcome['status'];
  readonly reasons: readonly string[];
  /** 0 when nothing was attempted. */
  readonly attemptNo: number;
  readonly retryable: boolean;
  readonly startedAt?: UtcMicros;
  readonly effectorRef?: string;
}

/** By whom and by what it was judged, when it was taken. */
export interface Judgement {
  readonly policyRev: PolicyRev;
  readonly ruleId: string | null;
}

/** The result of an effect that is a row of this unit's own database: there is one attempt, and it is the commit. */
export function resultOf(authorised: Authorised, now: UtcMicros): Result {
  return authorised.allowed
    ? { status: 'EXECUTED', reasons: [], attemptNo: 1, retryable: false, startedAt: now }
    : { status: 'DENIED', reasons: [authorised.reason], attemptNo: 0, retryable: false };
}

/** What became of an intent, written once: times and all, so that it can be told again in the same words. */
export function outcomeOf(
  { pins, eventId, tsUtc, intent }: Omit<TakenIntent, 'offset'>,
  { policyRev, ruleId }: Judgement,
  { status, reasons, attemptNo, retryable, startedAt, effectorRef }: Result,
  now: UtcMicros,
): MadeOutcome {
  const outcome_id = outcomeIdRecipe.derive({
    pins,
    idempotency_key: intent.idempotency_key,
    attempt_no: attemptNo,
  }) as string as Digest;
  // In canonical order, which spares the writer the sorting.
  const outcome: ActionOutcome = {
    action_domain: intent.action_domain,
    action_type: intent.action_type,
    actor: intent.actor,
    attempt_no: attemptNo,
    completed_at_utc: now,
    decision_id: intent.decision_id,
    ...(effectorRef === undefined ? {} : { effector_ref: effectorRef }),
    entity_key: intent.entity_key,
    idempotency_key: intent.idempotency_key,
    intent_event_id: eventId as ActionOutcome['intent_event_id'],
    ...(ruleId === null ? {} : { matched_rule_id: ruleId }),
    origin: intent.origin,
    outcome_id,
    policy_rev: policyRev,
    reason_codes: reasons,
    retryable,
    ...(startedAt === undefined ? {} : { started_at_utc: startedAt }),
    status,
  };
  const event = {
    ...pins,
    event_id: outcome_id,
    event_type: 'action_outcome',
    schema_version: 'v1',
    producer: ACTIONS_PRODUCER,
    parent_event_id: eventId,
    ts_utc: tsUtc,
    payload: outcome,
  };
  return { outcome, event: canonicalJson(inOrder(event)) };
}
