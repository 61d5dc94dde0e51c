import { Type } from '@sinclair/typebox';
import { closed } from '../../rails/schema.js';
import type { PolicyKind } from '../../substrate/policy/policy.port.js';

/** How sealed traffic is pushed through the gate. */
export const StreamPolicySchema = closed({
  /** As which producer of the admission policy the events are sent. */
  producer: Type.String({ pattern: '^[a-z][a-z0-9._-]{0,99}$' }),
  /** Events of one call of the gate, and calls that may wait for their answers. */
  batch_events_max: Type.Integer({ minimum: 1, maximum: 2_000 }),
  batches_in_flight_max: Type.Integer({ minimum: 1, maximum: 16 }),
  /** A stream of whose rows more than this share is quarantined stops; looked at from `quarantine_rows_min` rows on. */
  quarantine_share_max: Type.Number({ minimum: 0, maximum: 1 }),
  quarantine_rows_min: Type.Integer({ minimum: 1 }),
  /** Whether READY alone starts a stream; otherwise somebody has to ask for it. */
  start_on_ready: Type.Boolean(),
});

export const STREAM_POLICY: PolicyKind<typeof StreamPolicySchema> = {
  policy_id: 'wsp.stream',
  schema: StreamPolicySchema,
};
