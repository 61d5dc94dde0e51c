import type { BasisRecord } from '../basis.js';
import { digestCanonical, inOrder } from '../canonical-json.js';
import type { EventId } from '../envelope.schema.js';
import type { RunPins } from '../pins.js';
import type { PolicyRev } from '../policy-rev.js';
import type { GraphContext, GraphValues } from './context.schema.js';

export interface ContextParts {
  readonly pins: RunPins;
  readonly eventId: EventId;
  readonly values: GraphValues;
  readonly integrity: GraphContext['integrity'];
  readonly policyRev: PolicyRev;
  readonly graphVersion: BasisRecord;
}

/** The one form of a context. Everything in it is hashed. */
export function graphContextOf({
  pins,
  eventId,
  values,
  integrity,
  policyRev,
  graphVersion,
}: ContextParts): GraphContext {
  const context = {
    pins,
    trigger: { event_id: eventId },
    values,
    integrity,
    policy_rev: policyRev,
    graph_version: graphVersion,
  };
  return { ...context, graph_context_hash: digestCanonical(inOrder({ recipe: 'ieg.context.v1', ...context })) };
}
