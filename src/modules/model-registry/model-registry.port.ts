import { type Static, Type } from '@sinclair/typebox';
import { ActivationSchema, BundleRefSchema } from '../../rails/events/decision.schema.js';
import { BundleManifestSchema, RegistryFactSchema } from '../../rails/events/registry-fact.schema.js';
import { RefSchema } from '../../rails/ref.js';
import { BundleSlotSchema } from '../../rails/registry/scope.js';
import { closed, safeInteger, type Sealed } from '../../rails/schema.js';
import { UtcMicrosSchema } from '../../rails/time.js';
import type { CallContext } from '../../substrate/rpc/rpc.port.js';
import { defineContract } from '../../substrate/rpc/rpc-contract.js';

export const ReasonSchema = Type.String({ minLength: 1, maxLength: 1_000, pattern: '^[^\\x00]*$' });
export const IdempotencyKeyTextSchema = Type.String({ minLength: 1, maxLength: 200, pattern: '^[!-~]([ -~]*[!-~])?$' });

export const ResolveRequest = closed({
  slots: Type.Array(BundleSlotSchema, { minItems: 1, maxItems: 32, uniqueItems: true }),
  /** As it was answered when the registry's last fact was this one; now unless stated. */
  as_of_seq: Type.Optional(safeInteger(0, 'number of a fact')),
  /** As it was then. One of the two. */
  as_of_utc: Type.Optional(UtcMicrosSchema),
});

export const ResolutionSchema = Type.Union([
  closed({
    slot: BundleSlotSchema,
    status: Type.Literal('ACTIVE'),
    bundle: BundleRefSchema,
    /** The bundle's bytes: canonical JSON. */
    ref: RefSchema,
    activation: ActivationSchema,
  }),
  /** Nothing is active: an ordinary answer, in whose place none is chosen. */
  closed({ slot: BundleSlotSchema, status: Type.Literal('NO_ACTIVE') }),
]);
export type Resolution = Sealed<typeof ResolutionSchema>;

/** One answer per slot, in their order. */
export const ResolveResponse = closed({
  resolutions: Type.Array(ResolutionSchema),
  /** The fact up to which was looked; asked again with it, the answer is this one. */
  registry_seq: safeInteger(0, 'number of a fact'),
});
export type Resolved = Sealed<typeof ResolveResponse>;

export const PublishRequest = closed({
  /** A bundle as JSON, wherever the caller put it. */
  bundle: RefSchema,
  lineage: BundleManifestSchema.properties.lineage,
  evidence: Type.Omit(BundleManifestSchema.properties.evidence, ['shipped_by'], { additionalProperties: false }),
  supersedes: Type.Optional(BundleRefSchema),
  reason: ReasonSchema,
  idempotency_key: IdempotencyKeyTextSchema,
});
export type Publication = Sealed<typeof PublishRequest>;

/** The fact that a command made: the first one, where it was asked for before. */
export const DoneSchema = closed({
  outcome: Type.Union([Type.Literal('NEW'), Type.Literal('DUPLICATE')]),
  fact: RegistryFactSchema,
});
export type RegistryDone = Sealed<typeof DoneSchema>;

/** The one authority on which bundle is active where, now and at any past moment. */
export abstract class ModelRegistryPort {
  /**
   * What is active in each slot. Follows from the registry's facts alone; the answer to a question about the past never changes (laws R9, R10).
   * @throws MPR_CURSOR_UNKNOWN, MPR_AS_OF_IN_FUTURE
   */
  abstract resolve(request: Static<typeof ResolveRequest>, context: CallContext): Promise<Resolved>;
  /**
   * Registers a version, for whoever approves and promotes it later; nothing becomes active. The same content again is the same version.
   * @throws MPR_BUNDLE_INVALID, MPR_EVIDENCE_INVALID, MPR_IDENTITY_CONFLICT, MPR_IDEMPOTENCY_CONFLICT, OBJECTS_NOT_FOUND, OBJECTS_DIGEST_MISMATCH
   */
  abstract publish(request: Static<typeof PublishRequest>, context: CallContext): Promise<RegistryDone>;
}

export const MODEL_REGISTRY_CONTRACT = defineContract('mpr', {
  resolve: {
    request: ResolveRequest,
    response: ResolveResponse,
    idempotent: true,
    permission: 'rpc.call:mpr',
    summary: 'Which bundle is active in each slot',
  },
  publish: {
    request: PublishRequest,
    response: DoneSchema,
    idempotent: true,
    permission: 'rpc.call:mpr',
    summary: 'Registers a version of a bundle',
  },
});
