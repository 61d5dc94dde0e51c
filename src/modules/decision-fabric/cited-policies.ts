import type { DecisionPolicies, ResolvedBundles } from '../../rails/decision/artifacts.js';
import type { DecisionEngine } from '../../rails/decision/engine.js';
import { isProbityError } from '../../rails/errors/probity-error.js';
import type { Decision } from '../../rails/events/decision.schema.js';
import type { PolicyRev, SealedPolicy } from '../../rails/policy-rev.js';
import type { PolicyArchive } from '../../substrate/policy/policy.archive.js';
import { PolicyJudge } from '../../substrate/policy/policy-faults.js';
import { GRAPH_POLICY } from '../entity-graph/entity-graph.port.js';
import { FEATURES_POLICY } from '../feature-plane/feature-plane.port.js';
import { DECISION_POLICY, RULES_POLICY } from './decision-fabric.policy.js';
import { enginesUnder } from './dry-run.candidate.js';

const judge = new PolicyJudge([DECISION_POLICY, RULES_POLICY, FEATURES_POLICY, GRAPH_POLICY]);

/**
 * The policies that decisions cite, also those that are not in force any more: read again from where every revision is kept, verified, judged as they
 * were before they came into force, and compiled once for each set. Of one piece of work: what could not be read is asked for again by the next.
 */
export class CitedPolicies {
  readonly #artifacts = new Map<string, Promise<SealedPolicy | string>>();
  readonly #sets = new Map<string, DecisionPolicies>();
  readonly #engines = new Map<DecisionPolicies, (cited: ResolvedBundles) => DecisionEngine>();

  constructor(
    private readonly archive: PolicyArchive,
    /** Cited by most; what a decision does not cite is taken from here. */
    private readonly inForce: DecisionPolicies,
  ) {}

  /** The very same object for decisions that cite the same; or why they are not at hand. @throws what a store that is away says */
  async of(decision: Decision): Promise<DecisionPolicies | string> {
    const { inForce } = this;
    const revs = {
      decision: decision.policy_rev,
      rules: decision.rules.policy_rev,
      features: decision.features.definitions ?? inForce.features.policy_rev,
      graph: decision.graph.policy_rev ?? inForce.graph.policy_rev,
    };
    const names = ['decision', 'rules', 'features', 'graph'] as const;
    const key = names.map((name) => revs[name].content_digest).join(' ');
    const before = this.#sets.get(key);
    if (before !== undefined) return before;
    const policies = { ...inForce } as Record<(typeof names)[number], SealedPolicy>;
    for (const name of names) {
      if (revs[name].content_digest === inForce[name].policy_rev.content_digest) continue;
      const artifact = await this.#artifact(revs[name]);
      if (typeof artifact === 'string') return artifact;
      policies[name] = artifact;
    }
    const byId = new Map(Object.values(policies).map((policy) => [policy.policy_rev.policy_id as string, policy]));
    const [fault] = judge.among(byId);
    if (fault !== undefined)
      return `the revisions that it cites do not go together: ${fault.pointer} ${fault.sentence}`;
    // The judge checked each against the schema of its kind.
    const set = policies as unknown as DecisionPolicies;
    this.#sets.set(key, set);
    return set;
  }

  /** One for each set of policies and bundles. */
  engine(policies: DecisionPolicies, bundles: ResolvedBundles): DecisionEngine {
    const engines = this.#engines.get(policies) ?? enginesUnder(policies);
    this.#engines.set(policies, engines);
    return engines(bundles);
  }

  async #artifact(rev: PolicyRev): Promise<SealedPolicy | string> {
    const before = this.#artifacts.get(rev.content_digest);
    if (before !== undefined) return await before;
    const read = this.#read(rev);
    this.#artifacts.set(rev.content_digest, read);
    return await read;
  }

  async #read(rev: PolicyRev): Promise<SealedPolicy | string> {
    try {
      const artifact = await this.archive.artifact(rev);
      const [fault] = judge.alone(artifact);
      if (fault === undefined) return artifact;
      return `revision ${rev.revision} of ${rev.policy_id}, which it cites, is no sound policy: ${fault.pointer} ${fault.sentence}`;
    } catch (error) {
      if (!isProbityError(error) || error.retryable) throw error;
      return `${error.code}: ${error.detail}`;
    }
  }
}
