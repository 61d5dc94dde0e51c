import { ModelRegistryService } from '../../src/modules/model-registry/model-registry.service.js';
import { REGISTRY_POLICY, type RegistryPolicy } from '../../src/modules/model-registry/model-registry.policy.js';
import type { RegistryDone } from '../../src/modules/model-registry/model-registry.port.js';
import { ModelRegistryStore } from '../../src/modules/model-registry/model-registry.store.js';
import { Publication } from '../../src/modules/model-registry/publication.js';
import { RegistryTeller } from '../../src/modules/model-registry/registry-teller.job.js';
import { ShippedBundles } from '../../src/modules/model-registry/shipped-bundles.job.js';
import type { Actor } from '../../src/rails/actor.js';
import { canonicalJson } from '../../src/rails/canonical-json.js';
import { digestText } from '../../src/rails/digest.js';
import { type Bundle, bundleDigest } from '../../src/rails/model/bundle.schema.js';
import { sealPolicy } from '../../src/rails/policy-rev.js';
import { objectKey, type Ref } from '../../src/rails/ref.js';
import type { ModelGateReceipt } from '../../src/rails/registry/gate-receipt.schema.js';
import type { BundleSlot } from '../../src/rails/registry/scope.js';
import { asUtcMicros } from '../../src/rails/time.js';
import { About } from '../../src/substrate/about.js';
import type { Clock } from '../../src/substrate/clock/clock.port.js';
import type { Objects } from '../../src/substrate/objects/objects.port.js';
import { StaticPolicies } from '../../src/substrate/policy/policy.port.js';
import { recordedTelemetry } from '../support/telemetry.js';
import type { LabelGround } from './label-store.kit.js';

const person = (name: string): Actor => ({
  actor_id: `HUMAN::${name}` as never,
  source_type: 'HUMAN',
  auth_mode: 'API_KEY',
});
/** Makes models. */
export const MIA = person('mia');
/** Decide. */
export const RON = person('ron');
export const SUE = person('sue');

export const slot = (name: string): BundleSlot => name as BundleSlot;

export function bundleOf(bundle_id: string, bundle_version = 1, intercept = 0): Bundle {
  return {
    bundle_id,
    bundle_version,
    compatibility: { feature_groups: [{ name: 'core_card', version: 1 }], input_contract: 'transaction.v1' },
    lineage: { trained_on: 'nothing', recipe: 'by hand', dataset_digest: digestText('nothing') },
    model: {
      format: 'probity.linear.v1',
      intercept,
      inputs: [{ source: 'event', name: 'amount_minor', mean: 0, deviation: 1, weight: 1, weight_missing: 0 }],
    },
  };
}

/** A registry over a ground, with everything that a test asks of it. */
export interface Registry {
  readonly service: ModelRegistryService;
  readonly store: ModelRegistryStore;
  readonly teller: RegistryTeller;
  readonly shipped: ShippedBundles;
  /** Registers a version with what speaks for it; under a key of its own unless stated. */
  readonly publish: (bundle: Bundle, more?: Partial<Publish>) => Promise<RegistryDone>;
}

export interface Publish {
  readonly actor: Actor;
  readonly key: string;
  readonly receipt: 'PASS' | 'FAIL' | 'none' | Ref;
  readonly report: boolean;
  readonly trained: boolean;
}

export function registryOf(
  { database, bus, objects }: LabelGround,
  clock: Clock,
  policy: RegistryPolicy,
  env = 'test',
): Registry {
  const { telemetry } = recordedTelemetry();
  const store = new ModelRegistryStore(database);
  const sealed = sealPolicy(REGISTRY_POLICY.policy_id, 1, policy as never);
  const policies = new StaticPolicies(new Map([[REGISTRY_POLICY.policy_id, sealed]]));
  const teller = new RegistryTeller(store, bus, clock, telemetry);
  const publication = new Publication(objects);
  const about = new About('1.0.0', env, 1);
  const service = new ModelRegistryService(store, publication, teller, policies, about, clock, telemetry);
  const shipped = new ShippedBundles(service, store, policies, clock, telemetry);
  return {
    service,
    store,
    teller,
    shipped,
    publish: async (bundle, { actor = MIA, key, receipt = 'PASS', report = true, trained = true } = {}) => {
      const digest = bundleDigest(bundle);
      const manifest = await put(objects, { dataset: bundle.bundle_id });
      const gate_receipt =
        receipt === 'none'
          ? undefined
          : typeof receipt === 'object'
            ? receipt
            : await put(objects, receiptOf(bundle, receipt, manifest));
      const rest = {
        lineage: {
          ...(trained ? { train_run_id: digestText(`run of ${digest}`) } : {}),
          dataset_manifests: trained ? [manifest] : [],
        },
        evidence: {
          ...(report ? { eval_report: await put(objects, { report: digest }) } : {}),
          ...(gate_receipt === undefined ? {} : { gate_receipt }),
        },
      };
      return await service.register(() => Promise.resolve(bundle), rest, {
        actor,
        reason: 'made',
        key: key ?? `publish ${digest}`,
      });
    },
  };
}

export function receiptOf(bundle: Bundle, result: 'PASS' | 'FAIL', manifest: Ref): ModelGateReceipt {
  return {
    bundle_digest: bundleDigest(bundle),
    result,
    criteria: [
      {
        name: 'average_precision',
        observed: 0.7,
        demanded: result === 'PASS' ? '>= 0.6' : '>= 0.8',
        passed: result === 'PASS',
      },
    ],
    reason_codes: [],
    policy_rev: sealPolicy('mf.gates', 1, {}).policy_rev,
    dataset_manifests: [manifest.digest.hex],
    decided_at_utc: asUtcMicros('2026-01-01T00:00:00.000000Z'),
  };
}

export async function put(objects: Objects, document: object): Promise<Ref> {
  const text = canonicalJson(document);
  const key = objectKey(`evidence/${digestText(text)}`);
  return (await objects.putIfAbsent(key, Buffer.from(text), { mediaType: 'application/json' })).ref;
}
