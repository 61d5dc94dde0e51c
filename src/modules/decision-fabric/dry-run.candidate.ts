import {
  bundlesFaults,
  type DecisionPolicies,
  incompatibility,
  type ResolvedBundles,
} from '../../rails/decision/artifacts.js';
import { DecisionEngine } from '../../rails/decision/engine.js';
import type { DecisionPolicy } from '../../rails/decision/policy.schema.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { bundleDigest, BundleSchema } from '../../rails/model/bundle.schema.js';
import { sealPolicy } from '../../rails/policy-rev.js';
import { validatorOf } from '../../rails/validator.js';
import type { PolicyFault, PolicyKind } from '../../substrate/policy/policy.port.js';
import { bandOf } from './bundle-source.js';
import { DECISION_POLICY, RULES_POLICY } from './decision-fabric.policy.js';
import type { DryRunRequest } from './dry-run.schema.js';

const bundles = validatorOf(BundleSchema, 'the bundle');
/** Sets of bundles that decisions of one run cite; few, and those of one time follow each other. */
const ENGINES_MAX = 16;

/** What is supposed to be in force: checked, and never in force by this. */
export interface Candidate {
  readonly policies: DecisionPolicies;
  /** Why it cannot be said what it would have decided with these bundles; null: it can. */
  unknownWith(cited: ResolvedBundles): string | null;
  /** With the bundles that a decision cites, the candidate's own in its slot. */
  engineWith(cited: ResolvedBundles): DecisionEngine;
}

/**
 * Checks the artifacts as they would be checked before they came into force, each beside those that it would stand with, and against what is
 * recorded of the decisions: whatever would make it guess is refused, too.
 * @throws DF_CANDIDATE_REFUSED with the place
 */
export function candidateOf(
  { rules, policy, bundle }: DryRunRequest['candidate'],
  inForce: DecisionPolicies,
): Candidate {
  if (rules === undefined && policy === undefined && bundle === undefined)
    throw new ProbityError('DF_CANDIDATE_REFUSED', '/candidate: rules, policy or bundle is to be there');
  const policies: DecisionPolicies = {
    ...inForce,
    ...(rules === undefined ? {} : { rules: supposedOf('rules', RULES_POLICY, rules, inForce) as never }),
    ...(policy === undefined ? {} : { decision: supposedOf('policy', DECISION_POLICY, policy, inForce) as never }),
  };
  if (policy !== undefined) demandAnswerable(policies, inForce.decision.body, bundle?.slot ?? null);
  const placed = bundle === undefined ? null : { slot: bundle.slot, ...placedOf(bundle.bundle, bundle.slot, policies) };
  const { body } = policies.decision;
  const engineWith = enginesUnder(policies, (cited) => {
    const stage2 = body.bundles.stage2 === undefined ? null : cited.stage2;
    return {
      ...cited,
      active: placed?.slot === 'primary' ? placed.bundle : cited.active,
      stage2: placed?.slot === 'stage2' ? placed.bundle : stage2,
      band: bandOf(body),
    };
  });
  return {
    policies,
    engineWith,
    unknownWith: ({ active, absent }) =>
      placed !== null && active === null && absent === 'REGISTRY_UNAVAILABLE' ? absent : null,
  };
}

/** One engine for each set of bundles, for as long as decisions cite the same. */
export function enginesUnder(
  policies: DecisionPolicies,
  placing: (cited: ResolvedBundles) => ResolvedBundles = (cited) => cited,
): (cited: ResolvedBundles) => DecisionEngine {
  const engines = new Map<ResolvedBundles, DecisionEngine>();
  return (cited) => {
    const before = engines.get(cited);
    if (before !== undefined) return before;
    const engine = new DecisionEngine({ ...policies, bundles: placing(cited) });
    engines.set(cited, engine);
    const [oldest] = engines.keys();
    if (engines.size > ENGINES_MAX && oldest !== undefined) engines.delete(oldest);
    return engine;
  };
}

/** Cited as what it is: a revision that was never in force has a name of its own. */
function supposedOf(name: string, kind: PolicyKind, raw: unknown, inForce: DecisionPolicies): unknown {
  const checked = validatorOf(kind.schema, `the ${name}`).check(raw);
  if (!checked.ok) throw refused(name, { pointer: checked.fault.at, sentence: checked.fault.says });
  const others = new Map<string, unknown>(
    Object.values(inForce).map(({ policy_rev, body }: DecisionPolicies['rules']) => [policy_rev.policy_id, body]),
  );
  const [fault] = [
    ...(kind.check?.(checked.value as never) ?? []),
    ...(kind.checkAmong?.(checked.value as never, (id) => others.get(id)) ?? []),
  ];
  if (fault !== undefined) throw refused(name, fault);
  return { ...sealPolicy(`${kind.policy_id}.dry-run`, 1, raw as never), body: checked.value };
}

/** What decisions do not record cannot be supposed: other events, other scopes, and which bundle stood in another slot. */
function demandAnswerable(
  { decision: { body }, features }: DecisionPolicies,
  inForce: DecisionPolicy,
  given: 'primary' | 'stage2' | null,
): void {
  const demand = (holds: boolean, pointer: string, sentence: string): void => {
    if (!holds) throw refused('policy', { pointer, sentence });
  };
  demand(body.scope === inForce.scope, '/scope', `decisions of the scope ${inForce.scope} are no decisions of another`);
  body.trigger_event_types.forEach((type, at) =>
    demand(
      inForce.trigger_event_types.includes(type),
      `/trigger_event_types/${at}`,
      `events of the type ${type} were not decided, so there is nothing to compare`,
    ),
  );
  body.required_feature_groups.forEach((name, at) =>
    demand(
      features.body.groups.some((group) => group.name === name),
      `/required_feature_groups/${at}`,
      `the feature definitions have no group ${name}`,
    ),
  );
  const { primary, stage2 } = body.bundles;
  demand(
    primary === inForce.bundles.primary || given === 'primary',
    '/bundles/primary',
    `decisions do not say which bundle was active in ${primary}: give one for the slot primary`,
  );
  demand(
    stage2 === undefined || stage2.slot === inForce.bundles.stage2?.slot || given === 'stage2',
    '/bundles/stage2',
    'decisions do not say which bundle was active there: give one for the slot stage2',
  );
}

function placedOf(raw: unknown, slot: 'primary' | 'stage2', { decision, features }: DecisionPolicies) {
  const checked = bundles.check(raw);
  if (!checked.ok) throw refused('bundle', { pointer: checked.fault.at, sentence: checked.fault.says });
  const { value: bundle } = checked;
  const { bundle_id, bundle_version } = bundle;
  const digest = bundleDigest(bundle);
  const [fault] = bundlesFaults({ active: { digest, bundle }, shadow: [] });
  if (fault !== undefined) throw refused('bundle', { ...fault, pointer: fault.pointer.replace('/active/bundle', '') });
  const unfit = incompatibility(bundle, features.body);
  if (unfit !== null)
    throw refused('bundle', {
      pointer: unfit.startsWith('INCOMPATIBLE_INPUT') ? '/model/inputs' : '/compatibility/feature_groups',
      sentence: `decisions do not have what it needs: ${unfit}`,
    });
  if (slot === 'stage2' && decision.body.bundles.stage2 === undefined)
    throw refused('bundle', {
      pointer: '/slot',
      sentence: 'the policy asks no second stage: give a policy with bundles.stage2 beside it',
    });
  return { bundle: { ref: { bundle_id, bundle_version, digest }, activation: null, bundle, unusable: null } };
}

function refused(name: string, { pointer, sentence }: PolicyFault): ProbityError {
  return new ProbityError('DF_CANDIDATE_REFUSED', `/candidate/${name}${pointer}: ${sentence}`);
}
