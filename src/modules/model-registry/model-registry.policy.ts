import { Type } from '@sinclair/typebox';
import { bundlesFaults } from '../../rails/decision/artifacts.js';
import { DigestSchema } from '../../rails/digest.js';
import { BundleSchema } from '../../rails/model/bundle.schema.js';
import { BundleSlotSchema } from '../../rails/registry/scope.js';
import { closed, type Sealed } from '../../rails/schema.js';
import type { PolicyFault, PolicyKind } from '../../substrate/policy/policy.port.js';

/** Who may put what forward, and what a fresh installation begins with. */
export const RegistryPolicySchema = closed(
  {
    /** Whoever published a version may not approve it. */
    four_eyes: Type.Boolean(),
    slots: Type.Array(
      closed({
        name: BundleSlotSchema,
        /** APPROVED: it has passed its gates, and somebody approved it. REGISTERED: any version that is not retired; for places that only watch. */
        needs: Type.Union([Type.Literal('APPROVED'), Type.Literal('REGISTERED')]),
      }),
      { minItems: 1, maxItems: 32 },
    ),
    /** Active where nothing ever was. The author of this artifact vouches for them. */
    shipped: Type.Array(closed({ slot: BundleSlotSchema, digest: DigestSchema, bundle: BundleSchema }), {
      maxItems: 32,
    }),
  },
  { description: 'Who may put which bundle forward, and which ones are shipped.' },
);
export type RegistryPolicy = Sealed<typeof RegistryPolicySchema>;

export const REGISTRY_POLICY: PolicyKind<typeof RegistryPolicySchema> = {
  policy_id: 'mpr.registry',
  schema: RegistryPolicySchema,
  check: ({ slots, shipped }: RegistryPolicy): readonly PolicyFault[] => {
    const names = slots.map(({ name }) => name);
    return [
      ...names.flatMap((name, at) =>
        names.indexOf(name) === at
          ? []
          : [{ pointer: `/slots/${at}`, sentence: `the slot "${name}" stands here twice` }],
      ),
      ...shipped.flatMap(({ slot, digest, bundle }, at) => [
        ...(names.includes(slot) ? [] : [{ pointer: `/shipped/${at}/slot`, sentence: 'there is no such slot' }]),
        ...(shipped.findIndex((each) => each.slot === slot) === at
          ? []
          : [{ pointer: `/shipped/${at}/slot`, sentence: 'one bundle is active in a slot' }]),
        ...bundlesFaults({ active: { digest, bundle }, shadow: [] }).map(({ pointer, sentence }) => ({
          pointer: pointer.replace('/active', `/shipped/${at}`),
          sentence,
        })),
      ]),
    ];
  },
};
