import { Type } from '@sinclair/typebox';
import { ActorSchema } from '../actor.js';
import { DigestSchema } from '../digest.js';
import { defineRecipe } from '../identity-recipe.js';
import { PolicyRevSchema } from '../policy-rev.js';
import { RefSchema } from '../ref.js';
import { RegistryScopeSchema } from '../registry/scope.js';
import { closed, safeInteger, type Sealed } from '../schema.js';
import { UtcMicrosSchema } from '../time.js';
import { BundleRefSchema, ReasonCodeSchema } from './decision.schema.js';

export const REGISTRY_ACTIONS = [
  'BUNDLE_PUBLISHED',
  'BUNDLE_APPROVED',
  'BUNDLE_PROMOTED_ACTIVE',
  'BUNDLE_ROLLED_BACK',
  'BUNDLE_RETIRED',
] as const;
export type RegistryAction = (typeof REGISTRY_ACTIONS)[number];

export const BUNDLE_STATES = ['REGISTERED_ELIGIBLE', 'REGISTERED_INELIGIBLE', 'APPROVED', 'RETIRED'] as const;
export type BundleState = (typeof BUNDLE_STATES)[number];
const BundleStateSchema = Type.Union(BUNDLE_STATES.map((state) => Type.Literal(state)));

/** Everything that a version of a bundle is, apart from its bytes. Never changed; another content is another version. */
export const BundleManifestSchema = closed({
  bundle_id: BundleRefSchema.properties.bundle_id,
  bundle_version: BundleRefSchema.properties.bundle_version,
  artifacts: Type.Array(closed({ role: Type.Literal('bundle'), ref: RefSchema }), { minItems: 1, maxItems: 1 }),
  /** How it was made, where a training run made it. */
  lineage: closed({
    train_run_id: Type.Optional(DigestSchema),
    dataset_manifests: Type.Array(RefSchema, { maxItems: 16 }),
  }),
  evidence: closed({
    eval_report: Type.Optional(RefSchema),
    gate_receipt: Type.Optional(RefSchema),
    /** The artifact of policy that ships the bundle; its author vouches for it. */
    shipped_by: Type.Optional(PolicyRevSchema),
  }),
  supersedes: Type.Optional(BundleRefSchema),
});
export type BundleManifest = Sealed<typeof BundleManifestSchema>;

/**
 * `mpr.bundle` v1, a control fact: what happened to a version of a bundle, by whom and why (laws R7, R9). Which bundle is active follows from
 * these facts alone. It belongs to no world.
 */
export const RegistryFactSchema = closed(
  {
    event_id: DigestSchema,
    registry_seq: safeInteger(1, 'place among all facts of the registry'),
    action: Type.Union(REGISTRY_ACTIONS.map((action) => Type.Literal(action))),
    bundle: BundleRefSchema,
    /** Digest of the manifest. */
    bundle_fingerprint: DigestSchema,
    /** null: it was not known before. */
    from_state: Type.Union([BundleStateSchema, Type.Null()]),
    to_state: BundleStateSchema,
    /** Why it cannot be put forward; of a publication. */
    ineligible: Type.Optional(Type.Array(ReasonCodeSchema, { maxItems: 16 })),
    manifest: Type.Optional(BundleManifestSchema),
    /** Where it became active, or stopped being so. */
    scopes: Type.Array(RegistryScopeSchema, { maxItems: 64 }),
    /** What was active there before; null: nothing. */
    replaced: Type.Union([BundleRefSchema, Type.Null()]),
    actor: ActorSchema,
    reason: Type.String({ minLength: 1, maxLength: 1_000 }),
    policy_rev: PolicyRevSchema,
    recorded_at_utc: UtcMicrosSchema,
  },
  { description: 'What happened to a version of a bundle, by whom and why.' },
);
export type RegistryFact = Sealed<typeof RegistryFactSchema>;

/** One fact per command: the key is the caller's. */
export const registryFactRecipe = defineRecipe<{ environment: string; idempotency_key: string }, 'RegistryFactId'>(
  'mpr.bundle',
  1,
  { environment: true, idempotency_key: true },
);
