import { unrestricted } from '../../src/rails/capability-mask.js';
import { digestText } from '../../src/rails/digest.js';
import type { RunPins } from '../../src/rails/pins.js';
import { sealPolicy } from '../../src/rails/policy-rev.js';

/** A decision as it stands on the bus, made by rules alone. */
export function decidedEvent(
  pins: RunPins,
  id: string,
  { outcome, event }: { readonly outcome: string; readonly event: string },
  change: object = {},
): object {
  return {
    ...pins,
    event_id: id,
    event_type: 'decision',
    schema_version: 'v1',
    producer: 'decision-fabric',
    ts_utc: '2026-01-01T00:00:00.000000Z',
    payload: {
      decision_id: id,
      scope: 'payment',
      entity_key: 'card-1',
      outcome,
      reason_codes: [],
      source_event: {
        event_id: event,
        event_type: 'transaction',
        ts_utc: '2026-01-01T00:00:00.000000Z',
        payload_hash: digestText('p'),
        eb_ref: { topic: 't', partition: 0, offset: 0 },
      },
      posture: { status: 'UNAVAILABLE', mode: 'FAIL_CLOSED', mask: unrestricted([]) },
      bundle: { status: 'ABSENT', reason: 'NO_ACTIVE' },
      features: { status: 'FORBIDDEN_BY_MASK', forbidden_groups: ['core_card'] },
      graph: { status: 'NOT_REQUESTED_BY_PLAN' },
      model: { skipped: 'NO_ACTIVE' },
      rules: { policy_rev: sealPolicy('df.rules', 1, {}).policy_rev, hits: [], faults: [], shadow_hits: [] },
      shadow_bundles: [],
      policy_rev: sealPolicy('df.decision', 1, {}).policy_rev,
      actions: [],
      ...change,
    },
  };
}
