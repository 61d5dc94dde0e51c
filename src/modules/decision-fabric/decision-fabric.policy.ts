import { bundlesFaults, rulesFaultsUnder } from '../../rails/decision/artifacts.js';
import {
  type Bundles,
  BundlesSchema,
  type DecisionPolicy,
  DecisionPolicySchema,
} from '../../rails/decision/policy.schema.js';
import { type Rules, RulesSchema } from '../../rails/decision/rules.schema.js';
import type { FeatureDefinitions } from '../../rails/features/definition.schema.js';
import type { PolicyKind } from '../../substrate/policy/policy.port.js';

/** How a verdict is made, and what follows from it. */
export const DECISION_POLICY: PolicyKind<typeof DecisionPolicySchema> = {
  policy_id: 'df.decision',
  schema: DecisionPolicySchema,
  check: ({ actions, bundles, deadlines }: DecisionPolicy) => [
    ...Object.entries(actions).flatMap(([outcome, wanted]) => {
      const domains = wanted.map(({ action_domain }) => action_domain);
      const twice = domains.find((domain, at) => domains.indexOf(domain) !== at);
      if (twice === undefined) return [];
      return [
        { pointer: `/actions/${outcome}`, sentence: `the domain "${twice}" stands here twice: one effect per domain` },
      ];
    }),
    ...(bundles.stage2 !== undefined && bundles.stage2.from_score_e6 > bundles.stage2.to_score_e6
      ? [{ pointer: '/bundles/stage2/from_score_e6', sentence: 'the band ends before it begins' }]
      : []),
    ...(deadlines.default_ms > deadlines.max_ms
      ? [{ pointer: '/deadlines/default_ms', sentence: 'the default lies above the maximum' }]
      : []),
  ],
};

/** The rules, each typed against the event's schema and the feature definitions beside it before anything is judged by it. */
export const RULES_POLICY: PolicyKind<typeof RulesSchema> = {
  policy_id: 'df.rules',
  schema: RulesSchema,
  checkAmong: (body: Rules, bodyOf) => rulesFaultsUnder(body, bodyOf('ofp.features') as FeatureDefinitions),
};

/** Bundles that a counterfactual supposes to be active; in force is what the registry says. */
export const SUPPOSED_BUNDLES: PolicyKind<typeof BundlesSchema> = {
  policy_id: 'df.bundles',
  schema: BundlesSchema,
  check: (body: Bundles) => bundlesFaults(body),
};
