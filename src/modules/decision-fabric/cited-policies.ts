import { Injectable } from '@nestjs/common';
import type { DecisionPolicies, ResolvedBundles } from '../../rails/decision/artifacts.js';
import { DecisionEngine } from '../../rails/decision/engine.js';
import type { Digest } from '../../rails/digest.js';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import type { Decision } from '../../rails/events/decision.schema.js';
import type { PolicyRev, SealedPolicy } from '../../rails/policy-rev.js';
import { Objects } from '../../substrate/objects/objects.port.js';
import { PolicyArchive } from '../../substrate/policy/policy.archive.js';
import { PolicyJudge } from '../../substrate/policy/policy-faults.js';
import { DECISION_POLICY, RULES_POLICY } from './decision-fabric.policy.js';

const POLICIES_MAX = 32;
const ENGINES_MAX = 16;

/** Rules and decision policies of other times, as decisions cite them: read from the archive and compiled once for each revision. */
@Injectable()
export class CitedPolicies {
  readonly #archive: PolicyArchive;
  readonly #judge = new PolicyJudge([DECISION_POLICY, RULES_POLICY]);
  readonly #read = new Map<Digest, Promise<SealedPolicy>>();
  readonly #engines = new Map<ResolvedBundles, Map<string, DecisionEngine>>();

  constructor(objects: Objects) {
    this.#archive = new PolicyArchive(objects);
  }

  /**
   * What is in force, with the rules and the policy that the decision cites in place of those that are. A string says which revision is not at hand.
   * Features and graph stay: a run is replayed into one state of each.
   */
  async of(decision: Decision, inForce: DecisionPolicies): Promise<DecisionPolicies | string> {
    const { policy_rev: policy, rules } = decision;
    if (isSame(policy, inForce.decision.policy_rev) && isSame(rules.policy_rev, inForce.rules.policy_rev))
      return inForce;
    try {
      const [cited, citedRules] = await Promise.all([
        this.#revision(policy, inForce.decision),
        this.#revision(rules.policy_rev, inForce.rules),
      ]);
      // Their bodies were judged by their kinds when they were read.
      return {
        ...inForce,
        decision: cited as DecisionPolicies['decision'],
        rules: citedRules as DecisionPolicies['rules'],
      };
    } catch (error) {
      if (!isProbityError(error) || error.retryable) throw error;
      return `${error.code}: ${error.detail}`;
    }
  }

  /** Compiled once for each pair of revisions and each set of bundles. */
  engine(policies: DecisionPolicies, bundles: ResolvedBundles): DecisionEngine {
    const key = Object.values(policies as unknown as Record<string, SealedPolicy>)
      .map(({ policy_rev }) => policy_rev.content_digest)
      .join(' ');
    const mine = this.#engines.get(bundles) ?? new Map<string, DecisionEngine>();
    const engine = mine.get(key) ?? new DecisionEngine({ ...policies, bundles });
    mine.set(key, engine);
    this.#engines.set(bundles, mine);
    const [oldest] = this.#engines.keys();
    if (this.#engines.size > ENGINES_MAX && oldest !== undefined) this.#engines.delete(oldest);
    return engine;
  }

  async #revision(rev: PolicyRev, inForce: SealedPolicyLike): Promise<SealedPolicyLike> {
    if (isSame(rev, inForce.policy_rev)) return inForce;
    const before = this.#read.get(rev.content_digest);
    if (before !== undefined) return await before;
    const reading = this.#readAnew(rev);
    this.#read.set(rev.content_digest, reading);
    reading.catch(() => this.#read.delete(rev.content_digest));
    const [oldest] = this.#read.keys();
    if (this.#read.size > POLICIES_MAX && oldest !== undefined) this.#read.delete(oldest);
    return await reading;
  }

  async #readAnew(rev: PolicyRev): Promise<SealedPolicy> {
    const artifact = await this.#archive.artifact(rev);
    const [fault] = this.#judge.alone(artifact);
    if (fault === undefined) return artifact;
    throw new ProbityError(
      'OPS_POLICY_INVALID',
      `${rev.policy_id} revision ${rev.revision}: ${fault.pointer} ${fault.sentence}`,
    );
  }
}

interface SealedPolicyLike {
  readonly policy_rev: PolicyRev;
  readonly body: unknown;
}

function isSame(one: PolicyRev, other: PolicyRev): boolean {
  return one.content_digest === other.content_digest;
}
