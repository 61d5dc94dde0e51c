import { Type } from '@sinclair/typebox';
import { ActorSchema } from '../actor.js';
import { DigestSchema } from '../digest.js';
import { defineRecipe } from '../identity-recipe.js';
import { type PolicyRev, PolicyRevSchema } from '../policy-rev.js';
import { closed, type Sealed } from '../schema.js';
import { UtcMicrosSchema } from '../time.js';

/**
 * `gov.fact` v1, a control fact: what is in force has changed, from what to what, and who says so (laws C1, O5). It belongs to no world.
 */
export const GovernanceFactSchema = closed(
  {
    fact_id: DigestSchema,
    kind: Type.Literal('POLICY_IN_FORCE'),
    /** The installation: what the profile calls its environment. */
    scope: Type.String({ minLength: 1, maxLength: 64 }),
    /** Who found it in force; who wrote it is known to whoever keeps the profile. */
    actor: ActorSchema,
    /** null: nothing was known of this policy before. */
    before: Type.Union([PolicyRevSchema, Type.Null()]),
    after: PolicyRevSchema,
    reason: Type.String({ minLength: 1, maxLength: 300 }),
    observed_at_utc: UtcMicrosSchema,
  },
  { description: 'A change of what is in force.' },
);
export type GovernanceFact = Sealed<typeof GovernanceFactSchema>;

/** The fact before it is part of its name: a policy that comes back into force is another fact than the first time. */
export const governanceFactRecipe = defineRecipe<
  { scope: string; after: PolicyRev; before_fact: string | null },
  'GovernanceFactId'
>('gov.policy_in_force', 1, { scope: true, after: true, before_fact: true });
