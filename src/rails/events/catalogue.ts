import { type TSchema } from '@sinclair/typebox';
import { digestCanonical } from '../canonical-json.js';
import { type Digest } from '../digest.js';
import { type EventType, type SchemaVersion } from '../envelope.schema.js';
import { ActionIntentSchema } from './action-intent.schema.js';
import { ActionOutcomeSchema } from './action-outcome.schema.js';
import { DecisionSchema } from './decision.schema.js';
import { GovernanceFactSchema } from './governance-fact.schema.js';
import { LabelSchema } from './label.schema.js';
import { PostureSchema } from './posture.schema.js';
import { ReadySchema } from './ready.schema.js';
import { RegistryFactSchema } from './registry-fact.schema.js';
import { TransactionSchema } from './transaction.schema.js';

/** The schema of one payload: what an event of this type and version says. */
export interface PayloadSchema {
  readonly event_type: EventType;
  readonly schema_version: SchemaVersion;
  readonly title: string;
  readonly schema: TSchema;
}

const payload = (eventType: string, version: string, title: string, schema: TSchema): PayloadSchema => ({
  event_type: eventType as EventType,
  schema_version: version as SchemaVersion,
  title,
  schema,
});

/** Every payload that may stand in an envelope. A version that was published never changes; a change is a new version. */
export const PAYLOADS: readonly PayloadSchema[] = [
  payload('transaction', 'v1', 'Transaction', TransactionSchema),
  payload('decision', 'v2', 'Decision', DecisionSchema),
  payload('action_intent', 'v1', 'Action intent', ActionIntentSchema),
  payload('action_outcome', 'v1', 'Action outcome', ActionOutcomeSchema),
  payload('label', 'v2', 'Label', LabelSchema),
  payload('dl.posture', 'v1', 'Posture', PostureSchema),
  payload('gov.fact', 'v2', 'Governance fact', GovernanceFactSchema),
  payload('mpr.bundle', 'v1', 'Registry fact', RegistryFactSchema),
  payload('sr.ready', 'v1', 'Run is ready', ReadySchema),
];

/** Names this set of schemas: what was admitted under it can be checked against the very same one. */
export function catalogueDigest(payloads: readonly PayloadSchema[] = PAYLOADS): Digest {
  return digestCanonical(
    payloads.map(({ event_type, schema_version, schema }) => ({
      event_type,
      schema_version,
      // Through JSON, since the builder keeps its own marks under symbols.
      schema: JSON.parse(JSON.stringify(schema)) as object,
    })),
  );
}
