import type { Digest } from '../digest.js';
import type { Activation, BundleRef } from '../events/decision.schema.js';
import { TransactionSchema } from '../events/transaction.schema.js';
import type { FeatureDefinitions } from '../features/definition.schema.js';
import { GRAPH_VALUES } from '../graph/context.schema.js';
import type { GraphPolicy } from '../graph/graph.schema.js';
import { type Bundle, bundleDigest, bundleFaults } from '../model/bundle.schema.js';
import type { PolicyRev } from '../policy-rev.js';
import { Expressions, type Readable, readableFields } from './expression.js';
import type { Bundles, DecisionPolicy } from './policy.schema.js';
import { ruleFaults } from './rules.js';
import type { Rules } from './rules.schema.js';

/** A policy as it is in force: what it says, and which revision says so (law C1). */
export interface InForce<Body> {
  readonly policy_rev: PolicyRev;
  readonly body: Body;
}

/** The policies that a verdict is made by. */
export interface DecisionPolicies {
  readonly decision: InForce<DecisionPolicy>;
  readonly rules: InForce<Rules>;
  readonly features: InForce<FeatureDefinitions>;
  readonly graph: InForce<GraphPolicy>;
}

/** A bundle in its slot. */
export interface PlacedBundle {
  readonly ref: BundleRef;
  /** The fact of the registry that put it there; null: it is only supposed to be there, and no such decision is ever recorded. */
  readonly activation: Activation | null;
  /** null: its bytes could not be had. */
  readonly bundle: Bundle | null;
  /** Why it cannot be asked, beyond what its compatibility says. */
  readonly unusable: string | null;
}

/** Which bundles score, as the registry answered. None is an ordinary answer: rules alone decide then. */
export interface ResolvedBundles {
  readonly active: PlacedBundle | null;
  /** Why nothing is active: nothing is (NO_ACTIVE), or nobody can tell (REGISTRY_UNAVAILABLE). */
  readonly absent: 'NO_ACTIVE' | 'REGISTRY_UNAVAILABLE';
  readonly stage2: PlacedBundle | null;
  readonly band: readonly [number, number];
  readonly shadow: readonly PlacedBundle[];
}

/** Everything that a verdict is made by. Equal artifacts and equal inputs make equal verdicts, on any machine and at any time. */
export interface DecisionArtifacts extends DecisionPolicies {
  readonly bundles: ResolvedBundles;
}

/** As if these were active. */
export function supposed({ active, stage2, shadow }: Bundles, activation: Activation | null = null): ResolvedBundles {
  const placed = ({ bundle, digest }: { readonly bundle: Bundle; readonly digest: Digest }): PlacedBundle => ({
    ref: { bundle_id: bundle.bundle_id, bundle_version: bundle.bundle_version, digest },
    activation,
    bundle,
    unusable: null,
  });
  return {
    active: active === undefined ? null : placed(active),
    absent: 'NO_ACTIVE',
    stage2: stage2 === undefined ? null : placed(stage2),
    band: [stage2?.from_score_e6 ?? 0, stage2?.to_score_e6 ?? 0],
    shadow: shadow.map(placed),
  };
}

export interface ArtifactFault {
  readonly pointer: string;
  readonly sentence: string;
}

export const EVENT_FIELDS = readableFields(TransactionSchema);

/** What rules may read under these definitions; without definitions every well-formed feature name is taken at its word. */
export function readableUnder(definitions: FeatureDefinitions): Readable {
  return {
    event: EVENT_FIELDS,
    features: definitions.groups.flatMap(({ features }) => features.map(({ name }) => name as string)),
    graph: GRAPH_VALUES,
    score: true,
  };
}

export function rulesFaultsUnder(rules: Rules, definitions: FeatureDefinitions): readonly ArtifactFault[] {
  return ruleFaults(rules, new Expressions(readableUnder(definitions)));
}

/** One coefficient that was changed is another bundle than the one that the digest names. */
export function bundlesFaults({ active, stage2, shadow }: Bundles): readonly ArtifactFault[] {
  const all = [
    ...(active === undefined ? [] : [['/active', active] as const]),
    ...(stage2 === undefined ? [] : [['/stage2', stage2] as const]),
    ...shadow.map((one, at) => [`/shadow/${at}`, one] as const),
  ];
  const stages: ArtifactFault[] = [];
  if (stage2 !== undefined && active === undefined)
    stages.push({
      pointer: '/stage2',
      sentence: 'a second stage is asked by the score of an active bundle, and there is none',
    });
  if (stage2 !== undefined && stage2.from_score_e6 > stage2.to_score_e6)
    stages.push({ pointer: '/stage2/from_score_e6', sentence: 'the band ends before it begins' });
  const faults = all.flatMap(([pointer, { digest, bundle }]) => {
    const found = bundleDigest(bundle);
    const faults = bundleFaults(bundle).map((fault) => ({ ...fault, pointer: `${pointer}/bundle${fault.pointer}` }));
    if (found === digest) return faults;
    return [...faults, { pointer: `${pointer}/digest`, sentence: `the bundle has the digest ${found}, not this one` }];
  });
  return [...stages, ...faults];
}

/** Whether a bundle can be used with these definitions: a verdict of its own, which never picks another bundle. null: it can. */
export function incompatibility(bundle: Bundle, definitions: FeatureDefinitions): string | null {
  for (const { name, version } of bundle.compatibility.feature_groups) {
    const group = definitions.groups.find((each) => each.name === name);
    if (group === undefined) return `INCOMPATIBLE_FEATURE_GROUP_MISSING:${name}`;
    if (group.version !== version) return `INCOMPATIBLE_FEATURE_VERSION_MISMATCH:${name}`;
  }
  const { event, features, graph } = readableUnder(definitions);
  for (const { source, name } of bundle.model.inputs) {
    const known =
      source === 'event' ? event[name] === 'int' : (source === 'features' ? features : graph).includes(name);
    if (!known) return `INCOMPATIBLE_INPUT:${source}.${name}`;
  }
  return null;
}
