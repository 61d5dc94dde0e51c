import type { Decision } from '../events/decision.schema.js';
import type { Bundle } from '../model/bundle.schema.js';
import type { Score } from '../model/score.js';
import type { DecisionPlan, FeaturesUse, GraphUse } from './inputs.js';
import type { CompiledRule } from './rules.js';

/**
 * How what was used, and what was not, stands in a decision: absent with a reason, never made up. Members stand in canonical order, which spares the
 * writer the sorting.
 */

const CONTRIBUTIONS_MAX = 8;

export function hitOf({ id, list, reasonCode, outcome }: CompiledRule) {
  return { list, ...(outcome === null ? {} : { outcome }), reason_code: reasonCode, rule_id: id };
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
        contribution_e6: e6,
        feature: `${input?.source ?? ''}.${input?.name ?? ''}`,
        // A reason says why it looks like fraud: what lowered the score is none.
        ...(input?.reason_code === undefined || e6 <= 0 ? {} : { reason_code: input.reason_code }),
        value: value === null ? null : String(value),
      };
    });
}

export function postureOf({ posture, mask: whole }: DecisionPlan): Decision['posture'] {
  const { action_posture, allow_fallback_heuristics, allow_ieg, allow_model_primary, allow_model_stage2 } = whole;
  const { allowed_feature_groups } = whole;
  const mask = {
    action_posture,
    allow_fallback_heuristics,
    allow_ieg,
    allow_model_primary,
    allow_model_stage2,
    allowed_feature_groups,
  };
  if (posture.status === 'UNAVAILABLE') return { mask, mode: 'FAIL_CLOSED', status: 'UNAVAILABLE' };
  const { mode, scope_key, posture_seq, policy_rev, decided_at_utc } = posture.posture;
  return {
    decided_at_utc,
    mask,
    mode: posture.status === 'USED' ? mode : 'FAIL_CLOSED',
    ...(policy_rev === null ? {} : { policy_rev }),
    posture_seq,
    scope_key,
    status: posture.status,
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
      ...forbidden,
      ...(features.reason === undefined ? {} : { reason: features.reason }),
      status: features.status,
    };
  const { snapshot } = features;
  return {
    definitions,
    feature_snapshot_hash: snapshot.feature_snapshot_hash as string as never,
    ...forbidden,
    groups: snapshot.groups.map(({ name, version, status }) => ({ name, status, version })),
    input_basis: snapshot.input_basis,
    status: 'USED',
  };
}

export function graphOf(graph: GraphUse): Decision['graph'] {
  if (graph.status !== 'USED')
    return { ...(graph.reason === undefined ? {} : { reason: graph.reason }), status: graph.status };
  const { graph_context_hash, integrity, graph_version, policy_rev } = graph.context;
  return { graph_context_hash, graph_version, integrity, policy_rev, status: 'USED' };
}
