import { type Static, Type } from '@sinclair/typebox';
import { type FeatureDefinitions, FeatureDefinitionsSchema } from '../../rails/features/definition.schema.js';
import { definitionFaults } from '../../rails/features/plan.js';
import { FeatureSnapshotSchema } from '../../rails/features/snapshot.js';
import { RunPinsSchema } from '../../rails/pins.js';
import { closed, type Sealed } from '../../rails/schema.js';
import type { PolicyKind } from '../../substrate/policy/policy.port.js';
import { EventPlaceSchema } from '../../substrate/projection/event-place.js';
import { rebuildMethods, RebuildPort } from '../../substrate/projection/generation.schema.js';
import type { CallContext } from '../../substrate/rpc/rpc.port.js';
import { defineContract } from '../../substrate/rpc/rpc-contract.js';

/**
 * The definitions of all features (law R12): what is served, what datasets hold and what is re-executed come from this artifact. Whoever uses
 * snapshots may read it.
 */
export const FEATURES_POLICY: PolicyKind<typeof FeatureDefinitionsSchema> = {
  policy_id: 'ofp.features',
  takesEffect: 'at_restart',
  schema: FeatureDefinitionsSchema,
  check: (body: FeatureDefinitions) => definitionFaults(body),
};

export const SNAPSHOTS_MAX = 1_000;

export const SnapshotsRequest = closed({
  pins: RunPinsSchema,
  triggers: Type.Array(EventPlaceSchema, { minItems: 1, maxItems: SNAPSHOTS_MAX }),
  /** Groups by name; no others are evaluated. An unknown name is refused. */
  groups: Type.Array(Type.String({ pattern: '^[a-z][a-z0-9_-]{0,63}$' }), { maxItems: 64, uniqueItems: true }),
  /** How long to wait at the most until everything before the triggers has been applied. */
  wait_ms: Type.Integer({ minimum: 0, maximum: 30_000 }),
});

export const SnapshotResultSchema = Type.Union([
  closed({ status: Type.Literal('SERVED'), snapshot: FeatureSnapshotSchema }),
  /** What stands before the trigger on its own partition was not applied within the wait. */
  closed({ status: Type.Literal('STALE'), detail: Type.String({ maxLength: 300 }) }),
  /** No answer would be right: the run's state is damaged or the definitions are not available. */
  closed({ status: Type.Literal('UNAVAILABLE'), detail: Type.String({ maxLength: 300 }) }),
]);
export type SnapshotResult = Sealed<typeof SnapshotResultSchema>;

/** One result per trigger, in their order; all that are served stand on one basis. */
export const SnapshotsResponse = closed({ results: Type.Array(SnapshotResultSchema) });

export abstract class FeaturePlanePort extends RebuildPort {
  /** @throws OFP_GROUP_UNKNOWN; RPC_ codes when it cannot be reached or the deadline ends first */
  abstract snapshots(
    request: Static<typeof SnapshotsRequest>,
    context: CallContext,
  ): Promise<Static<typeof SnapshotsResponse>>;
}

export const FEATURE_PLANE_CONTRACT = defineContract('ofp', {
  ...rebuildMethods('rpc.call:ofp'),
  snapshots: {
    request: SnapshotsRequest,
    response: SnapshotsResponse,
    idempotent: true,
    permission: 'rpc.call:ofp',
    summary: 'What was known before these events, at one basis',
  },
});
