import { Type } from '@sinclair/typebox';
import {
  DoneSchema,
  type RegistryDone,
  ResolutionSchema,
  type Resolved,
  ResolveResponse,
} from '../../modules/model-registry/model-registry.port.js';
import { BundleRefSchema } from '../../rails/events/decision.schema.js';
import { type BundleManifestSchema, RegistryFactSchema } from '../../rails/events/registry-fact.schema.js';
import type { Bundle } from '../../rails/model/bundle.schema.js';
import type { Sealed } from '../../rails/schema.js';
import { validatorOf } from '../../rails/validator.js';
import { type DoorApi, got, posted, queryOf } from './door-api.js';

const BundlesSchema = Type.Object({
  bundles: Type.Array(
    Type.Object({
      bundle: BundleRefSchema,
      state: Type.String(),
      active_in: Type.Array(Type.String()),
      ineligible: Type.Array(Type.String()),
      published_by: Type.String(),
      published_at_utc: Type.String(),
    }),
  ),
  next_cursor: Type.Optional(Type.String()),
});
const ShownSchema = Type.Object({ facts: Type.Array(RegistryFactSchema) });
const FactsSchema = Type.Object({ facts: Type.Array(RegistryFactSchema), cursor: Type.String() });
const ExplainedSchema = Type.Object({
  resolution: ResolutionSchema,
  slot_seq: Type.Integer(),
  because: Type.Array(RegistryFactSchema),
});

const readers = {
  bundles: validatorOf(BundlesSchema, 'the page of bundles'),
  shown: validatorOf(ShownSchema, 'the facts of the bundle'),
  facts: validatorOf(FactsSchema, 'the page of facts'),
  explained: validatorOf(ExplainedSchema, 'the explanation'),
  resolved: validatorOf(ResolveResponse, 'the resolution'),
  done: validatorOf(DoneSchema, 'the answer of the registry'),
};

export type BundlesPage = Sealed<typeof BundlesSchema>;
export type Explained = Sealed<typeof ExplainedSchema>;

export interface Once {
  readonly reason: string;
  readonly idempotency_key: string;
}

/** A version by its name. */
export interface BundleName {
  readonly bundle_id: string;
  readonly bundle_version: number;
}

/** The routes of the registry. Each command is once by its key, so a lost answer is asked for again. */
export class RegistryApi {
  constructor(private readonly door: DoorApi) {}

  async publish(
    request: {
      readonly bundle: Bundle;
      readonly lineage: Sealed<typeof BundleManifestSchema.properties.lineage>;
      readonly evidence: Omit<Sealed<typeof BundleManifestSchema.properties.evidence>, 'shipped_by'>;
    } & Once,
  ): Promise<RegistryDone> {
    return await this.#done('bundles', request);
  }

  async approve(request: { readonly bundle: BundleName } & Once): Promise<RegistryDone> {
    return await this.#done('approvals', request);
  }

  async promote(
    request: { readonly bundle: BundleName; readonly slot: string; readonly expected_seq: number } & Once,
  ): Promise<RegistryDone> {
    return await this.#done('promotions', request);
  }

  async rollBack(
    request: { readonly bundle?: BundleName; readonly slot: string; readonly expected_seq: number } & Once,
  ): Promise<RegistryDone> {
    return await this.#done('rollbacks', request);
  }

  async retire(request: { readonly bundle: BundleName } & Once): Promise<RegistryDone> {
    return await this.#done('retirements', request);
  }

  async bundles(query: Readonly<Record<string, string | number | undefined>>): Promise<BundlesPage> {
    return await this.door.ask('mpr', got(`/v1/registry/bundles${queryOf(query)}`), readers.bundles);
  }

  async show({ bundle_id, bundle_version }: BundleName): Promise<Sealed<typeof ShownSchema>> {
    const path = `/v1/registry/bundles/${encodeURIComponent(bundle_id)}/${bundle_version}`;
    return await this.door.ask('mpr', got(path), readers.shown);
  }

  async explain(slot: string): Promise<Explained> {
    return await this.door.ask('mpr', got(`/v1/registry/explain${queryOf({ slot })}`), readers.explained);
  }

  async resolve(query: Readonly<Record<string, string | number | undefined>>): Promise<Resolved> {
    return await this.door.ask('mpr', got(`/v1/registry/resolve${queryOf(query)}`), readers.resolved);
  }

  async facts(query: Readonly<Record<string, string | number | undefined>>): Promise<Sealed<typeof FactsSchema>> {
    return await this.door.ask('mpr', got(`/v1/registry/facts${queryOf(query)}`), readers.facts);
  }

  async #done(path: string, request: object): Promise<RegistryDone> {
    return await this.door.ask('mpr', { ...posted(`/v1/registry/${path}`, request), repeatable: true }, readers.done);
  }
}
