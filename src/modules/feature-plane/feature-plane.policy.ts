import { type FeatureDefinitions, FeatureDefinitionsSchema } from '../../rails/features/definition.schema.js';
import { definitionFaults } from '../../rails/features/plan.js';
import type { PolicyKind } from '../../substrate/policy/policy.port.js';

/** The definitions of all features (law R12): what is served, what datasets hold and what is re-executed come from this artifact. */
export const FEATURES_POLICY: PolicyKind<typeof FeatureDefinitionsSchema> = {
  policy_id: 'ofp.features',
  schema: FeatureDefinitionsSchema,
  check: (body: FeatureDefinitions) => definitionFaults(body),
};
