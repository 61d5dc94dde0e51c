import type { Decision } from '../events/decision.schema.js';
import type { Bundle } from '../model/bundle.schema.js';
import type { Score } from '../model/score.js';
import type { DecisionPlan, FeaturesUse, GraphUse } from './inputs.js';
import type { CompiledRule } from './rules.js';

/** How what was used, and what was not, stands in a decision: absent with a reason, never made up. */

const CONTRIBUTIONS_MAX = 8;

export function hitOf({ id, list, reasonCode, outcome }: CompiledRule) {
  return { rule_id: id, list, reason_code: reasonCode, ...(outcome === null ? {} : { outcome }) };
}

export function contributionsOf(bundle: Bundle, values: readonly (number | null)[], { contributions }: Score) {
  const inputs = bundle.model.inputs as readonly { source: string; name: string; reason_code?: string }[];
  return contributions
    .map((contribution, at) => ({ at, e6: Math.round(contribution * 1e6) }))
    .filter(({ e6 }) => e6 !== 0)
    .sort((a, b) => Math.abs(b.e6) - Math.abs(a.e6) || a.at - b.at)
    .slice(0, CONTRIBUTIONS_MAX)
    .map(({ at, e6 }) => {
      const input = inputs[at];
      const value = values[at] ?? null;
      return {
        feature: `${input?.source ?? ''}.${input?.name ?? ''}`,
        value: value === null ? null : String(value),
        contribution_e6: e6,
        // A reason says why it looks like fraud: what lowered the score is none.
        ...(input?.reason_code === undefined || e6 <= 0 ? {} : { reason_code: input.reason_code }),
      };
    });
}

export function postureOf({ posture, mask }: DecisionPlan): Decision['posture'] {
  if (posture.status === 'UNAVAILABLE') return { status: 'UNAVAILABLE', mode: 'FAIL_CLOSED', mask };
  const { mode, scope_key, posture_seq, policy_rev, decided_at_utc } = posture.posture;
  return {
    status: posture.status,
    mode: posture.status === 'USED' ? mode : 'FAIL_CLOSED',
    mask,
    scope_key,
    posture_seq,
    ...(policy_rev === null ? {} : { policy_rev }),
    decided_at_utc,
  };
}

export function featuresOf(
  plan: DecisionPlan,
  features: FeaturesUse,
  definitions: Decision['policy_rev'],
): Decision['features'] {
  const forbidden = plan.forbiddenGroups.length === 0 ? {} : { forbidden_groups: [...plan.forbiddenGroups] };
  if (features.status !== 'USED')
    return {
      status: features.status,
      ...(features.reason === undefined ? {} : { reason: features.reason }),
      ...forbidden,
    };
  const { snapshot } = features;
  return {
    status: 'USED',
    feature_snapshot_hash: snapshot.feature_snapshot_hash as string as never,
    definitions,
    groups: snapshot.groups.map(({ name, version, status }) => ({ name, version, status: status })),
    ...forbidden,
    input_basis: snapshot.input_basis,
  };
}

export function graphOf(graph: GraphUse): Decision['graph'] {
  if (graph.status !== 'USED')
    return { status: graph.status, ...(graph.reason === undefined ? {} : { reason: graph.reason }) };
  const { graph_context_hash, integrity, graph_version, policy_rev } = graph.context;
  return { status: 'USED', graph_context_hash, policy_rev, integrity, graph_version };
}
