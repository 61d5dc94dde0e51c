import { Injectable } from '@nestjs/common';
import { DecisionEngine } from '../../rails/decision/engine.js';
import { Policies } from '../../substrate/policy/policy.port.js';
import { GRAPH_POLICY } from '../entity-graph/entity-graph.port.js';
import { FEATURES_POLICY } from '../feature-plane/feature-plane.port.js';
import { BUNDLES_POLICY, DECISION_POLICY, RULES_POLICY } from './decision-fabric.policy.js';

/** The engine of the artifacts in force: compiled once for each set of them, asked for at the beginning of each batch (law C1). */
@Injectable()
export class EngineInForce {
  #made: { readonly parts: readonly unknown[]; readonly engine: DecisionEngine } | undefined;

  constructor(private readonly policies: Policies) {}

  now(): DecisionEngine {
    const decision = this.policies.inForce(DECISION_POLICY);
    const rules = this.policies.inForce(RULES_POLICY);
    const bundles = this.policies.inForce(BUNDLES_POLICY);
    const features = this.policies.inForce(FEATURES_POLICY);
    const graph = this.policies.inForce(GRAPH_POLICY);
    const parts = [decision, rules, bundles, features, graph];
    if (this.#made === undefined || parts.some((part, at) => part !== this.#made?.parts[at]))
      this.#made = { parts, engine: new DecisionEngine({ decision, rules, bundles, features, graph }) };
    return this.#made.engine;
  }
}
