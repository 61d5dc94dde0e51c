import { Injectable } from '@nestjs/common';
import type { Context } from '@opentelemetry/api';
import type { DecisionPolicies, ResolvedBundles } from '../../rails/decision/artifacts.js';
import { DecisionEngine } from '../../rails/decision/engine.js';
import { Policies } from '../../substrate/policy/policy.port.js';
import { GRAPH_POLICY } from '../entity-graph/entity-graph.port.js';
import { FEATURES_POLICY } from '../feature-plane/feature-plane.port.js';
import { BundleSource } from './bundle-source.js';
import { DECISION_POLICY, RULES_POLICY } from './decision-fabric.policy.js';

/** Engines of what is in force, one for each set of bundles. */
const ENGINES_MAX = 16;

/** The engine of what is in force: compiled once for each set of artifacts, asked for at the beginning of each batch (law C1). */
@Injectable()
export class EngineInForce {
  #policies: DecisionPolicies | undefined;
  #triggerTypes: ReadonlySet<string> = new Set();
  readonly #engines = new Map<ResolvedBundles, DecisionEngine>();

  constructor(
    private readonly policies: Policies,
    private readonly bundles: BundleSource,
  ) {}

  /** The very same object until another revision of one of them is in force. */
  now(): DecisionPolicies {
    const decision = this.policies.inForce(DECISION_POLICY);
    const rules = this.policies.inForce(RULES_POLICY);
    const features = this.policies.inForce(FEATURES_POLICY);
    const graph = this.policies.inForce(GRAPH_POLICY);
    const before = this.#policies;
    if (
      before?.decision === decision &&
      before.rules === rules &&
      before.features === features &&
      before.graph === graph
    )
      return before;
    this.#engines.clear();
    this.#policies = { decision, rules, features, graph };
    this.#triggerTypes = new Set(decision.body.trigger_event_types);
    return this.#policies;
  }

  /** The types of events that are decided. */
  triggerTypes(): ReadonlySet<string> {
    this.now();
    return this.#triggerTypes;
  }

  /** With the bundles that are active now, under these policies. A registry that does not answer is a reason in its decisions, never a rejection. */
  async resolved(policies: DecisionPolicies, trace: Context): Promise<DecisionEngine> {
    const bundles = await this.bundles.inForce(policies.decision.body, trace);
    // Another revision came into force meanwhile: whoever began under this one ends under it.
    return policies === this.now() ? this.with(bundles) : new DecisionEngine({ ...policies, bundles });
  }

  /** With these bundles, under the policies in force. */
  with(bundles: ResolvedBundles): DecisionEngine {
    const policies = this.now();
    const before = this.#engines.get(bundles);
    if (before !== undefined) return before;
    const engine = new DecisionEngine({ ...policies, bundles });
    this.#engines.set(bundles, engine);
    const [oldest] = this.#engines.keys();
    if (this.#engines.size > ENGINES_MAX && oldest !== undefined) this.#engines.delete(oldest);
    return engine;
  }
}
