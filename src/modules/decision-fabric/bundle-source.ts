import { Injectable } from '@nestjs/common';
import type { Context } from '@opentelemetry/api';
import type { PlacedBundle, ResolvedBundles } from '../../rails/decision/artifacts.js';
import type { DecisionPolicy } from '../../rails/decision/policy.schema.js';
import type { Digest } from '../../rails/digest.js';
import { isProbityError } from '../../rails/errors/probity-error.js';
import type { Activation, BundleRef, Decision } from '../../rails/events/decision.schema.js';
import { type Bundle, bundleDigest, bundleFaults, BundleSchema } from '../../rails/model/bundle.schema.js';
import type { Ref } from '../../rails/ref.js';
import type { BundleSlot } from '../../rails/registry/scope.js';
import { validatorOf } from '../../rails/validator.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Objects } from '../../substrate/objects/objects.port.js';
import { outgoing } from '../../substrate/rpc/outgoing.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { ModelRegistryPort, type Resolution } from '../model-registry/model-registry.port.js';

const VERIFY_MS = 10_000;
const BUNDLES_MAX = 32;
const BUNDLE_BYTES_MAX = 12 * 1024 * 1024;
/** A bundle that cannot be read is not asked for again by every batch. */
const TRY_AGAIN_MS = 1_000;

const UNAVAILABLE: ResolvedBundles = {
  active: null,
  absent: 'REGISTRY_UNAVAILABLE',
  stage2: null,
  band: [0, 0],
  shadow: [],
};

const bundles = validatorOf(BundleSchema, 'the bundle');

type Active = Extract<Resolution, { status: 'ACTIVE' }>;

/** Which bundles are active. */
export abstract class BundleSource {
  /** The very same object while nothing changes. Never rejects: who does not answer is said in the answer. */
  abstract inForce(policy: DecisionPolicy, trace: Context): Promise<ResolvedBundles>;
  /** Those that a decision cites, if the registry's facts say so still; otherwise why they are not at hand. */
  abstract cited(decision: Decision, policy: DecisionPolicy): Promise<ResolvedBundles | string>;
}

/** Asks the registry which bundle is active in each slot, once per batch, and reads its bytes once. */
@Injectable()
export class RegistryBundles extends BundleSource {
  readonly #read = new Map<Digest, Promise<Bundle>>();
  readonly #failed = new Map<Digest, { readonly unusable: string; readonly untilMs: number }>();
  readonly #cited = new Map<string, Promise<ResolvedBundles | string>>();
  #last: { readonly key: string; readonly bundles: ResolvedBundles } | undefined;

  constructor(
    private readonly registry: ModelRegistryPort,
    private readonly objects: Objects,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
  ) {
    super();
  }

  async inForce(policy: DecisionPolicy, trace: Context): Promise<ResolvedBundles> {
    const slots = slotsOf(policy);
    const { waits } = policy;
    let resolutions: readonly Resolution[];
    try {
      resolutions = await this.#resolved(slots, waits.registry_ms, trace);
      // An answer about other slots is none.
      if (resolutions.length !== slots.length || resolutions.some(({ slot }, at) => slot !== slots[at]))
        return UNAVAILABLE;
    } catch (error) {
      this.telemetry.logger.warn('df_registry_unavailable', { code: codeOf(error), trace });
      return UNAVAILABLE;
    }
    const placed = await Promise.all(resolutions.map(async (each) => await this.#placed(each)));
    const key = JSON.stringify([
      policy.bundles,
      placed.map((one) => [one?.ref.digest, one?.activation?.event_id, one?.unusable]),
    ]);
    if (this.#last?.key === key) return this.#last.bundles;
    const resolved = inSlots(policy, new Map(slots.map((slot, at) => [slot, placed[at] ?? null])));
    this.#last = { key, bundles: resolved };
    this.telemetry.logger.info('df_bundles', { active: resolved.active?.ref ?? null, trace });
    return resolved;
  }

  /** Decisions of one time cite the same: asked once for all of them. */
  async cited(decision: Decision, policy: DecisionPolicy): Promise<ResolvedBundles | string> {
    const absent = decision.bundle.status === 'ABSENT' ? decision.bundle.reason : null;
    const places = placesOf(decision, policy);
    const key = JSON.stringify([
      policy.bundles,
      absent,
      places.map(({ ref, activation, unreadable }) => [ref.digest, activation.event_id, unreadable]),
    ]);
    const before = this.#cited.get(key);
    if (before !== undefined) return await before;
    const made = absent === 'REGISTRY_UNAVAILABLE' ? Promise.resolve(UNAVAILABLE) : this.#citedAnew(places, policy);
    this.#cited.set(key, made);
    made.catch(() => this.#cited.delete(key));
    const [oldest] = this.#cited.keys();
    if (this.#cited.size > BUNDLES_MAX && oldest !== undefined) this.#cited.delete(oldest);
    return await made;
  }

  async #citedAnew(places: readonly Place[], policy: DecisionPolicy): Promise<ResolvedBundles | string> {
    const placed = new Map<BundleSlot, PlacedBundle>();
    for (const { slots, ref, activation, unreadable } of places) {
      const then = await this.#activeBy(activation, slots);
      if (then?.bundle.digest !== ref.digest)
        return `the registry has no fact ${activation.registry_seq} that made ${ref.bundle_id} version ${ref.bundle_version} (${ref.digest.slice(0, 12)}…) active in ${slots.join(' or ')}`;
      const bundle = unreadable === null ? await this.#bytes(then) : null;
      placed.set(then.slot, { ref, activation, bundle, unusable: unreadable });
    }
    return inSlots(policy, placed);
  }

  /** What the fact made active, in whichever of the slots. */
  async #activeBy({ registry_seq, event_id }: Activation, slots: readonly BundleSlot[]): Promise<Active | undefined> {
    if (slots.length === 0) return undefined;
    const call = outgoing(this.clock, VERIFY_MS);
    const { resolutions } = await this.registry.resolve({ slots: [...slots], as_of_seq: registry_seq }, call);
    return resolutions.find((one): one is Active => one.status === 'ACTIVE' && one.activation.event_id === event_id);
  }

  /**
   * Asks once more where the first half of the wait has ended without an answer: a process that stood still finds the time gone before it has read what
   * arrived meanwhile. One that is well answers the second time at once.
   */
  async #resolved(slots: readonly BundleSlot[], waitMs: number, trace: Context): Promise<readonly Resolution[]> {
    const ask = async (): Promise<readonly Resolution[]> => {
      const call = outgoing(this.clock, waitMs / 2, { trace });
      return (await this.registry.resolve({ slots: [...slots] }, call)).resolutions;
    };
    try {
      return await ask();
    } catch (error) {
      if (!isProbityError(error, 'RPC_DEADLINE_EXCEEDED')) throw error;
      return await ask();
    }
  }

  async #placed(resolution: Resolution): Promise<PlacedBundle | null> {
    if (resolution.status === 'NO_ACTIVE') return null;
    const { bundle: ref, activation } = resolution;
    const failed = this.#failed.get(ref.digest);
    if (failed !== undefined && this.clock.monotonicMs() < failed.untilMs)
      return { ref, activation, bundle: null, unusable: failed.unusable };
    try {
      return { ref, activation, bundle: await this.#bytes(resolution), unusable: null };
    } catch (error) {
      const unusable = `BUNDLE_UNREADABLE:${codeOf(error)}`;
      this.#failed.set(ref.digest, { unusable, untilMs: this.clock.monotonicMs() + TRY_AGAIN_MS });
      this.telemetry.logger.error('df_bundle_unreadable', { digest: ref.digest, code: codeOf(error) });
      return { ref, activation, bundle: null, unusable };
    }
  }

  /** Verified against the digest, and against what the registry calls it. */
  async #bytes({ bundle: { digest }, ref }: Active): Promise<Bundle> {
    const before = this.#read.get(digest);
    if (before !== undefined) return await before;
    const reading = this.#readAnew(digest, ref);
    this.#read.set(digest, reading);
    reading.catch(() => this.#read.delete(digest));
    const [oldest] = this.#read.keys();
    if (this.#read.size > BUNDLES_MAX && oldest !== undefined) this.#read.delete(oldest);
    return await reading;
  }

  async #readAnew(digest: Digest, ref: Ref): Promise<Bundle> {
    const bytes = await this.objects.read(ref, { bytesMax: BUNDLE_BYTES_MAX });
    const bundle = bundles.demand(JSON.parse(bytes.toString('utf8')));
    if (bundleDigest(bundle) !== digest || bundleFaults(bundle).length > 0)
      throw new TypeError('the registry registers no such bundle');
    return bundle;
  }
}

/** Where the first score must lie for the second opinion to be asked. */
export function bandOf({ bundles: { stage2 } }: DecisionPolicy): readonly [number, number] {
  return [stage2?.from_score_e6 ?? 0, stage2?.to_score_e6 ?? 0];
}

function slotsOf({ bundles: { primary, stage2, shadow } }: DecisionPolicy): readonly BundleSlot[] {
  return [...new Set([primary, ...(stage2 === undefined ? [] : [stage2.slot]), ...shadow])];
}

function inSlots(policy: DecisionPolicy, placed: ReadonlyMap<BundleSlot, PlacedBundle | null>): ResolvedBundles {
  const { primary, stage2, shadow } = policy.bundles;
  return {
    active: placed.get(primary) ?? null,
    absent: 'NO_ACTIVE',
    stage2: stage2 === undefined ? null : (placed.get(stage2.slot) ?? null),
    band: bandOf(policy),
    shadow: shadow.flatMap((slot) => placed.get(slot) ?? []),
  };
}

interface Place {
  /** Where it may have been active: of bundles that are only watched, in any of their slots. */
  readonly slots: readonly BundleSlot[];
  readonly ref: BundleRef;
  readonly activation: Activation;
  /** Its bytes could not be had then, and why. */
  readonly unreadable: string | null;
}

/** The bundles that a decision cites, and the slots that they were in. */
function placesOf(decision: Decision, { bundles: { primary, stage2, shadow } }: DecisionPolicy): readonly Place[] {
  const { bundle, model, shadow_bundles } = decision;
  const place = (
    slots: readonly BundleSlot[],
    { bundle_id, bundle_version, digest, activation }: BundleRef & { readonly activation: Activation },
    skipped: string | undefined,
  ): Place => ({
    slots,
    ref: { bundle_id, bundle_version, digest },
    activation,
    unreadable: skipped?.startsWith('BUNDLE_UNREADABLE') === true ? skipped : null,
  });
  return [
    ...(bundle.status === 'ACTIVE' ? [place([primary], bundle, model.skipped)] : []),
    ...(model.stage2 === undefined
      ? []
      : [place(stage2 === undefined ? [] : [stage2.slot], model.stage2, model.stage2.skipped)]),
    ...shadow_bundles.map((each) => place(shadow, each, each.skipped)),
  ];
}

function codeOf(error: unknown): string {
  return isProbityError(error) ? error.code : 'INTERNAL';
}
