import type { Basis } from '../../rails/basis.js';
import type { DecisionPolicies } from '../../rails/decision/artifacts.js';
import type { DecisionTrigger, FeaturesUse, GraphUse } from '../../rails/decision/inputs.js';
import type { Decision } from '../../rails/events/decision.schema.js';
import type { FeatureState } from '../../rails/features/feature-state.js';
import { snapshotOf } from '../../rails/features/snapshot.js';
import { graphContextOf } from '../../rails/graph/context.js';
import type { GraphState } from '../../rails/graph/graph-state.js';
import type { LogCursor } from '../../substrate/bus/log-tap.js';
import type { ReplayedState } from '../../substrate/projection/replayed-state.js';

/** What decisions under one set of policies are made again from. Sets that agree in a part of it share that part. */
export interface Ground {
  readonly policies: DecisionPolicies;
  readonly triggers: readonly LogCursor[];
  readonly features: ReplayedState<FeatureState>;
  readonly graph: ReplayedState<GraphState>;
}

/** The values at the basis that the decision names, of these groups. */
export function featuresOf(
  { features }: Decision,
  trigger: DecisionTrigger,
  groups: readonly string[],
  basis: Basis | null,
  { policies, features: replayed }: Ground,
): FeaturesUse {
  if (features.status !== 'USED' || basis === null || features.input_basis === undefined) {
    const { status, reason } = features;
    return { status: status as Exclude<FeaturesUse['status'], 'USED'>, ...(reason === undefined ? {} : { reason }) };
  }
  const snapshot = snapshotOf({
    pins: trigger.pins,
    trigger,
    definitions: policies.features.policy_rev,
    groups: replayed.state.snapshot(trigger, new Set(groups), replayed.cutTo(basis)),
    inputBasis: features.input_basis,
  });
  return { status: 'USED', snapshot };
}

/** The values at the version that the decision names; whether the run was whole then is taken from the record. */
export function graphOf(
  { graph }: Decision,
  trigger: DecisionTrigger,
  version: Basis | null,
  { policies, graph: replayed }: Ground,
): GraphUse {
  const { status, reason, graph_version, integrity } = graph;
  if (status !== 'USED' || version === null || graph_version === undefined || integrity === undefined)
    return {
      status: status as Exclude<GraphUse['status'], 'USED'>,
      ...(reason === undefined ? {} : { reason }),
    };
  const values = replayed.state.context(trigger, replayed.cutTo(version));
  if (values === null) return { status: 'UNAVAILABLE', reason: 'GRAPH_TOO_LATE' };
  const context = graphContextOf({
    pins: trigger.pins,
    eventId: trigger.eventId,
    values,
    integrity,
    policyRev: policies.graph.policy_rev,
    graphVersion: graph_version,
  });
  return { status: 'USED', context };
}
