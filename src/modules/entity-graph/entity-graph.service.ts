import { Injectable } from '@nestjs/common';
import type { Static } from '@sinclair/typebox';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { graphContextOf } from '../../rails/graph/context.js';
import { GraphState } from '../../rails/graph/graph-state.js';
import type { RunPins } from '../../rails/pins.js';
import { type EventPlace, eventAt } from '../../substrate/projection/event-place.js';
import { TRAFFIC } from '../../substrate/projection/projection.js';
import type { Generation, Live, RebuildOrder } from '../../substrate/projection/generation.schema.js';
import type { CallContext } from '../../substrate/rpc/rpc.port.js';
import { GraphEngine } from './entity-graph.engine.js';
import {
  type ContextResult,
  type ContextsRequest,
  type ContextsResponse,
  EntityGraphPort,
  type NeighboursRequest,
  type NeighboursResponse,
} from './entity-graph.port.js';
import { GraphRebuilds } from './entity-graph.rebuilds.js';

/** Contexts from the memory of this process, all of one call of one version. */
@Injectable()
export class EntityGraphService extends EntityGraphPort {
  constructor(
    private readonly engine: GraphEngine,
    private readonly rebuilds: GraphRebuilds,
  ) {
    super();
  }

  async contexts(
    { pins, triggers, wait_ms }: Static<typeof ContextsRequest>,
    { signal }: Pick<CallContext, 'signal'>,
  ): Promise<Static<typeof ContextsResponse>> {
    return await this.engine.signals.calls.observe({}, async () => {
      this.engine.demandOwnership();
      await this.engine.reach(triggers, wait_ms, signal);
      // From here on nothing is awaited: state and vector are of one moment, and so are all answers.
      const results = this.#answers(pins, triggers);
      return { results } as Static<typeof ContextsResponse>;
    });
  }

  async neighbours({
    pins,
    identifiers,
    limit,
  }: Static<typeof NeighboursRequest>): Promise<Static<typeof NeighboursResponse>> {
    const { vector, runs, signals } = this.engine;
    return await signals.calls.observe({}, () => {
      this.engine.demandOwnership();
      const run = runs.find(pins);
      if (run === undefined) throw new ProbityError('IEG_SCOPE_UNKNOWN', 'nothing of this run was applied yet');
      const results = identifiers.map((identifier) => {
        const all = [...run.state.neighbours(identifier)].sort((a, b) => b.events - a.events);
        return { neighbours: all.slice(0, limit), more: all.length > limit };
      });
      const integrity = run.invalid > 0 ? 'DEGRADED' : 'CLEAN';
      return Promise.resolve({ results, graph_version: vector.record(), integrity });
    });
  }

  live(): Promise<Live> {
    return this.rebuilds.live();
  }

  async rebuild(order: RebuildOrder): Promise<Generation> {
    return await this.rebuilds.rebuild(order);
  }

  #answers(pins: RunPins, triggers: readonly EventPlace[]): readonly ContextResult[] {
    const { vector, runs, policy, signals } = this.engine;
    const run = runs.find(pins);
    // A run of which nothing was applied yet has an empty graph, and that is an answer.
    const state = run?.state ?? new GraphState(policy.body);
    const graphVersion = vector.record();
    const results = triggers.map((trigger): ContextResult => {
      if (!vector.hasReached(trigger.partition, trigger.offset))
        return {
          status: 'LAGGING',
          detail: `partition ${trigger.partition} stands at ${vector.nextOf(TRAFFIC, trigger.partition) ?? 0}, before ${trigger.offset}`,
        };
      const values = state.context(eventAt(trigger));
      if (values === null)
        return { status: 'UNAVAILABLE', detail: 'the event comes later than the policy ieg.graph keeps events for' };
      const context = graphContextOf({
        pins,
        eventId: trigger.event_id,
        values,
        integrity: (run?.invalid ?? 0) > 0 ? 'DEGRADED' : 'CLEAN',
        policyRev: policy.policy_rev,
        graphVersion,
      });
      return { status: 'SERVED', context };
    });
    for (const status of ['SERVED', 'LAGGING', 'UNAVAILABLE'] as const)
      signals.served(status, results.filter((result) => result.status === status).length);
    return results;
  }
}
