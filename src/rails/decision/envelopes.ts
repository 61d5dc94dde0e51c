import type { ActionIntent } from '../events/action-intent.schema.js';
import type { Decision } from '../events/decision.schema.js';
import { systemActor } from '../actor.js';
import { canonicalJson, inOrder } from '../canonical-json.js';
import type { RunPins } from '../pins.js';

export const DECISION_PRODUCER = 'decision-fabric';

/** An event for admission: its id, and the very text that is judged and hashed. */
export interface OutgoingEvent {
  readonly eventId: string;
  readonly text: string;
}

/** Trace ids of the work that made it; they play no part in its content. */
export interface TraceIds {
  readonly trace_id: string;
  readonly span_id: string;
}

/** The decision as an event: named by what was decided, at the time of what was decided about, caused by it. */
export function decisionEnvelope(decision: Decision, pins: RunPins, trace?: TraceIds): OutgoingEvent {
  const { decision_id: eventId, source_event } = decision;
  return envelope(eventId, 'decision', 'v2', source_event.ts_utc, source_event.event_id, decision, pins, trace);
}

/** What the decision asks for, from the decision alone: after a crash the very same wishes are made again. */
export function intentsOf(decision: Decision): readonly ActionIntent[] {
  const { decision_id, scope, entity_key, outcome, reason_codes, policy_rev, actions } = decision;
  const actor = systemActor('df');
  return actions.map(({ action_domain, action_key, action_type, idempotency_key, target }) => ({
    action_domain,
    action_key,
    action_type,
    actor,
    decision_id,
    entity_key,
    idempotency_key,
    origin: 'DF',
    outcome,
    policy_rev,
    reason_codes,
    scope,
    target,
  }));
}

/** An intent as an event: one effect has one id, which is its idempotency key; caused by the decision. */
export function intentEnvelope(
  intent: ActionIntent,
  decision: Decision,
  pins: RunPins,
  trace?: TraceIds,
  producer = DECISION_PRODUCER,
): OutgoingEvent {
  const { idempotency_key: eventId } = intent;
  return envelope(
    eventId,
    'action_intent',
    'v1',
    decision.source_event.ts_utc,
    decision.decision_id,
    intent,
    pins,
    trace,
    producer,
  );
}

function envelope(
  eventId: string,
  eventType: string,
  version: string,
  tsUtc: string,
  parent: string,
  payload: object,
  pins: RunPins,
  trace: TraceIds | undefined,
  producer = DECISION_PRODUCER,
): OutgoingEvent {
  const event = {
    ...pins,
    ...trace,
    event_id: eventId,
    event_type: eventType,
    schema_version: version,
    producer,
    parent_event_id: parent,
    ts_utc: tsUtc,
    payload,
  };
  return { eventId, text: canonicalJson(inOrder(event)) };
}
