import { Injectable } from '@nestjs/common';
import type { DecisionEngine } from '../../rails/decision/engine.js';
import type { DecisionPlan, DecisionTrigger, FeaturesUse, GraphUse } from '../../rails/decision/inputs.js';
import type { ExternalBundle } from '../../rails/decision/models.js';
import type { Digest } from '../../rails/digest.js';
import type { Decision } from '../../rails/events/decision.schema.js';
import type { Inputs } from '../../rails/model/score.js';
import { ModelRuntime, type ModelSession } from '../../substrate/models/model-runtime.js';

/** What a decision is made of beside the plan of its batch. */
export interface Question {
  readonly trigger: DecisionTrigger;
  readonly features: FeaturesUse;
  readonly graph: GraphUse;
}

interface Row {
  readonly digest: Digest;
  readonly inputs: Inputs;
}

/** The bundles in force are few, and are asked all the time; those of counterfactuals come and go. */
const SESSIONS_MAX = 16;

/**
 * Makes decisions whose bundles may be scored outside of the engine. The engine stays pure: what it wants to know of such a bundle is asked for
 * between two passes of it, all rows of a batch side by side, and only where it wants to know it (the mask, the band of a second stage). A batch
 * without such bundles takes one pass and waits for nothing.
 */
@Injectable()
export class ExternalModels {
  readonly #sessions = new Map<Digest, Promise<ModelSession>>();

  constructor(private readonly runtime: ModelRuntime) {}

  /** @throws DF_MODEL_RUNTIME_MISSING, DF_MODEL_REFUSED */
  async ready({ external }: Pick<DecisionEngine, 'external'>): Promise<void> {
    await Promise.all(external.map(async (bundle) => await this.#session(bundle)));
  }

  /** One decision for each question, in their order. A model that fails is a reason in its decision, never a rejection. */
  async decide(
    engine: DecisionEngine,
    plan: DecisionPlan,
    questions: readonly Question[],
  ): Promise<readonly Decision[]> {
    const { external } = engine;
    if (external.length === 0)
      return questions.map(({ trigger, features, graph }) => engine.decide(trigger, plan, features, graph));
    const known = new Map<string, number | 'FAILED'>();
    for (;;) {
      const asked = new Map<string, Row>();
      const scoreE6 = (digest: Digest, inputs: Inputs): number | 'FAILED' | 'PENDING' => {
        const name = `${digest} ${inputs.join()}`;
        const score = known.get(name);
        if (score === undefined) asked.set(name, { digest, inputs });
        return score ?? 'PENDING';
      };
      const decisions = questions.map(({ trigger, features, graph }) =>
        engine.decide(trigger, plan, features, graph, { scoreE6 }),
      );
      if (asked.size === 0) return decisions;
      await Promise.all(
        [...asked].map(async ([name, { digest, inputs }]) => {
          const bundle = external.find((one) => one.digest === digest);
          known.set(name, bundle === undefined ? 'FAILED' : await this.#score(bundle, inputs));
        }),
      );
    }
  }

  async #score(bundle: ExternalBundle, inputs: Inputs): Promise<number | 'FAILED'> {
    const session = await this.#session(bundle).catch(() => null);
    return session === null ? 'FAILED' : await session.scoreE6(inputs);
  }

  #session({ digest, model }: ExternalBundle): Promise<ModelSession> {
    const before = this.#sessions.get(digest);
    if (before !== undefined) {
      this.#sessions.delete(digest);
      this.#sessions.set(digest, before);
      return before;
    }
    const opened = this.runtime.open(model);
    this.#sessions.set(digest, opened);
    // What could not be opened may be opened another time.
    opened.catch(() => this.#sessions.get(digest) === opened && this.#sessions.delete(digest));
    // The one that was asked longest ago goes: counterfactuals never cost a payment its model.
    const [oldest] = this.#sessions.keys();
    if (this.#sessions.size > SESSIONS_MAX && oldest !== undefined) this.#sessions.delete(oldest);
    return opened;
  }
}
