import { Type } from '@sinclair/typebox';
import { closed, type Sealed } from '../../rails/schema.js';
import type { PolicyFault, PolicyKind } from '../../substrate/policy/policy.port.js';

export const GovernancePolicySchema = closed(
  {
    /** The first row whose pattern fits a policy's id counts: `*` is all of them, `df.*` those that begin with `df.`. */
    four_eyes: Type.Array(
      closed({
        policies: Type.String({ pattern: '^([*]|[a-z][a-z0-9_.-]*([*])?)$', maxLength: 100 }),
        /** Whoever proposed a revision may not approve it. */
        required: Type.Boolean(),
      }),
      { minItems: 1, maxItems: 100 },
    ),
  },
  { description: 'Whose approval a policy needs.' },
);
export type GovernancePolicy = Sealed<typeof GovernancePolicySchema>;

export const GOVERNANCE_POLICY: PolicyKind<typeof GovernancePolicySchema> = {
  policy_id: 'ops.governance',
  schema: GovernancePolicySchema,
  check: ({ four_eyes }: GovernancePolicy): readonly PolicyFault[] => {
    if (four_eyes.at(-1)?.policies === '*') return [];
    return [{ pointer: '/four_eyes', sentence: 'the last row is for "*", so that each policy has one' }];
  },
};

/** Whether a revision of this policy needs the approval of somebody else. */
export function needsFourEyes({ four_eyes }: GovernancePolicy, policyId: string): boolean {
  const row = four_eyes.find(({ policies }) =>
    policies.endsWith('*') ? policyId.startsWith(policies.slice(0, -1)) : policies === policyId,
  );
  return row?.required ?? true;
}
