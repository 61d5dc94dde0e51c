import { inOrder } from '../canonical-json.js';
import type { Digest } from '../digest.js';
import type { Decision } from '../events/decision.schema.js';
import type { FeatureDefinitions } from '../features/definition.schema.js';
import type { OnnxModel } from '../model/bundle.schema.js';
import { type Inputs, scoreOf } from '../model/score.js';
import { incompatibility, type PlacedBundle, type ResolvedBundles } from './artifacts.js';
import type { Facts } from './expression.js';
import type { DecisionPlan, FeaturesUse } from './inputs.js';
import { contributionsOf } from './records.js';

/** What a model said, or why it was not asked. */
export type Opinion =
  | {
      readonly scoreE6: number;
      readonly skipped: null;
      /** null: the format does not tell. */
      readonly contributions: ReturnType<typeof contributionsOf> | null;
    }
  | { readonly scoreE6: null; readonly skipped: string; readonly contributions: null };

/**
 * What a model outside of the engine (ONNX) says of a row of inputs. PENDING: it was not asked yet; the decision is then none, and is to be made again
 * once it was. FAILED: it did not say a probability.
 */
export interface ExternalScores {
  scoreE6(bundle: Digest, inputs: Inputs): number | 'FAILED' | 'PENDING';
}

/** What a model is asked about. */
export interface Asked {
  readonly facts: Facts;
  readonly plan: DecisionPlan;
  readonly features: FeaturesUse;
  readonly external: ExternalScores;
}

/** A bundle that is scored outside. */
export interface ExternalBundle {
  readonly digest: Digest;
  readonly model: OnnxModel;
}

interface Candidate extends PlacedBundle {
  readonly incompatible: string | null;
}

/** Of a second stage that was not asked for a reason that somebody should hear of; that it was not needed is none. */
const SAID_OF_STAGE2 = /^(CAPABILITY_BLOCK|INCOMPATIBLE|REQUIRED|MODEL|BUNDLE)/;

/** The bundles of a decision, each asked within the mask and only where it can be used. */
export class Models {
  readonly active: Candidate | null;
  /** Why nothing is active, where nothing is. */
  readonly absent: ResolvedBundles['absent'];
  /** What all of them read. */
  readonly inputs: readonly { readonly source: string; readonly name: string }[];
  /** Those that are scored outside and can be used. */
  readonly external: readonly ExternalBundle[];
  readonly #stage2: Candidate | null;
  readonly #shadow: readonly Candidate[];
  readonly #band: readonly [number, number];

  constructor({ active, absent, stage2, band, shadow }: ResolvedBundles, definitions: FeatureDefinitions) {
    const candidate = (placed: PlacedBundle): Candidate => ({
      ...placed,
      incompatible: placed.unusable ?? (placed.bundle === null ? null : incompatibility(placed.bundle, definitions)),
    });
    this.active = active === null ? null : candidate(active);
    this.absent = absent;
    this.#stage2 = stage2 === null ? null : candidate(stage2);
    this.#shadow = shadow.map(candidate);
    this.#band = band;
    const all = [this.active, this.#stage2, ...this.#shadow].filter((one) => one !== null);
    this.inputs = all.flatMap(
      ({ bundle }) => (bundle?.model.inputs ?? []) as readonly { source: string; name: string }[],
    );
    this.external = all.flatMap(({ bundle, ref, incompatible }) =>
      bundle?.model.format === 'probity.onnx.v1' && incompatible === null
        ? [{ digest: ref.digest, model: bundle.model }]
        : [],
    );
  }

  primary(asked: Asked): Opinion {
    if (this.active === null) return skip(this.absent);
    return opinionOf(this.active, 'allow_model_primary', asked);
  }

  /** Where the first stage is undecided. Forbidden or unusable it leaves the word to the first one, and the decision says so. */
  second({ scoreE6 }: Opinion, asked: Asked): Opinion | null {
    if (this.#stage2 === null) return null;
    if (scoreE6 === null) return skip('NO_PRIMARY_SCORE');
    const [from, to] = this.#band;
    if (scoreE6 < from || scoreE6 > to) return skip('OUTSIDE_BAND');
    return opinionOf(this.#stage2, 'allow_model_stage2', asked);
  }

  /** How both stand in a decision, in canonical order. */
  recorded(primary: Opinion, second: Opinion | null): Decision['model'] {
    if (second === null || this.#stage2 === null) return scoredOf(primary);
    return { ...scoredOf(primary), stage2: inOrder({ ...citedOf(this.#stage2), ...scoredOf(second) }) };
  }

  shadows(asked: Asked): Decision['shadow_bundles'] {
    return this.#shadow.map((candidate) => ({
      ...citedOf(candidate),
      ...scoredOf({ ...opinionOf(candidate, 'allow_model_primary', asked), contributions: null }),
    }));
  }
}

/** Why a second opinion is missing that was wanted; empty where it was not wanted, or is there. */
export function missingSecond(second: Opinion | null): readonly string[] {
  return second !== null && second.skipped !== null && SAID_OF_STAGE2.test(second.skipped) ? [second.skipped] : [];
}

/** Whether a group was served. A key that the event does not have is an answer; what came too late to be counted is none. */
export function isServed(features: Extract<FeaturesUse, { status: 'USED' }>, name: string): boolean {
  const group = features.snapshot.groups.find((each) => each.name === name);
  return group !== undefined && group.status !== 'TOO_LATE';
}

function opinionOf(
  { bundle, ref, incompatible }: Candidate,
  allowed: 'allow_model_primary' | 'allow_model_stage2',
  { facts, plan, features, external }: Asked,
): Opinion {
  if (!plan.mask[allowed]) return skip(`CAPABILITY_BLOCK:${allowed}`);
  if (incompatible !== null || bundle === null) return skip(incompatible ?? 'BUNDLE_UNREADABLE');
  const groups = bundle.compatibility.feature_groups;
  if (groups.some(({ name }) => plan.forbiddenGroups.includes(name)))
    return skip('CAPABILITY_BLOCK:allowed_feature_groups');
  if (groups.length > 0 && (features.status !== 'USED' || groups.some(({ name }) => !isServed(features, name))))
    return skip('REQUIRED_FEATURES_MISSING');
  const values = bundle.model.inputs.map(({ source, name }) => {
    const value = (facts[source] as Readonly<Record<string, unknown>>)[name];
    return typeof value === 'bigint' ? Number(value) : null;
  });
  if (bundle.model.format === 'probity.onnx.v1') {
    const scoreE6 = external.scoreE6(ref.digest, values);
    if (scoreE6 === 'FAILED' || scoreE6 === 'PENDING') return skip(`MODEL_${scoreE6}`);
    return { scoreE6, skipped: null, contributions: null };
  }
  const score = scoreOf({ model: bundle.model }, values);
  return { scoreE6: score.scoreE6, skipped: null, contributions: contributionsOf(bundle, values, score) };
}

/** In canonical order. What is only supposed has no fact to cite, and is never recorded, so that the type may say that there is one. */
export function citedOf({ ref, activation }: PlacedBundle): ActiveRef {
  const { bundle_id, bundle_version, digest } = ref;
  return { ...(activation === null ? {} : { activation }), bundle_id, bundle_version, digest } as ActiveRef;
}

type ActiveRef = Omit<Decision['shadow_bundles'][number], 'score_e6' | 'skipped'>;

function skip(skipped: string): Opinion {
  return { scoreE6: null, skipped, contributions: null };
}

function scoredOf({ scoreE6, skipped, contributions }: Pick<Opinion, 'scoreE6' | 'skipped' | 'contributions'>) {
  return {
    ...(contributions === null ? {} : { contributions }),
    ...(scoreE6 === null ? {} : { score_e6: scoreE6 }),
    ...(skipped === null ? {} : { skipped }),
  };
}
