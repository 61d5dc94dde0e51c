import type { Digest } from '../../rails/digest.js';
import { intentEnvelope, type OutgoingEvent } from '../../rails/decision/envelopes.js';
import type { ActionIntent } from '../../rails/events/action-intent.schema.js';
import type { Decision } from '../../rails/events/decision.schema.js';
import type { Case, CaseEvent } from './case.schema.js';

export const CASE_PRODUCER = 'case-workbench';
/** What an effector is told in place of the decision's reasons where a person says another verdict. */
const OVERRULED = 'CASE_REVIEW';
const PRINTABLE = /^[!-~]([ -~]*[!-~])?$/;

type Submitted = Extract<CaseEvent, { readonly type: 'ACTION_SUBMITTED' }>;

/**
 * The wish of a person as an event for admission, from the entry, the decision and the payment alone: sent again after whatever crash, it is the
 * same bytes. The payment's own id is the target, as for the intents of the decision.
 */
export function caseIntent(
  { pins }: Pick<Case, 'pins'>,
  submitted: Submitted,
  decision: Decision,
  payload: { readonly transaction_id?: unknown },
): OutgoingEvent {
  const { intent_id, case_event_id, actor, action_domain, action_type, scope, outcome, policy_rev } = submitted;
  const { decision_id, entity_key, source_event } = decision;
  const { transaction_id: own } = payload;
  const id = typeof own === 'string' && own.length <= 128 && PRINTABLE.test(own) ? own : source_event.event_id;
  const intent: ActionIntent = {
    action_domain,
    action_key: case_event_id satisfies Digest,
    action_type,
    actor,
    decision_id,
    entity_key,
    idempotency_key: intent_id,
    origin: 'CASE',
    outcome: outcome ?? decision.outcome,
    policy_rev,
    reason_codes: outcome === undefined ? decision.reason_codes : [OVERRULED],
    scope,
    target: { id, type: source_event.event_type.replaceAll('.', '_') },
  };
  return intentEnvelope(intent, decision, pins, undefined, CASE_PRODUCER);
}
