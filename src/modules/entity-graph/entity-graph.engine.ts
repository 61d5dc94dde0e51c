import { Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import type { FeatureEvent } from '../../rails/features/event-table.js';
import { GraphState } from '../../rails/graph/graph-state.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Policies } from '../../substrate/policy/policy.port.js';
import { Projector } from '../../substrate/projection/projector.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { GRAPH_POLICY } from './entity-graph.port.js';
import { GraphSignals } from './entity-graph.signals.js';
import { EntityGraphStore } from './entity-graph.store.js';

/** The identity graph of every run, projected from traffic and labels by the policy in force. */
@Injectable()
export class GraphEngine extends Projector<GraphState> implements OnModuleInit, OnModuleDestroy {
  readonly policy;
  readonly signals: GraphSignals;

  constructor(store: EntityGraphStore, clock: Clock, telemetry: Telemetry, policies: Policies) {
    const policy = policies.inForce(GRAPH_POLICY);
    const fields = policy.body.identifiers.map(({ field }) => field);
    super(
      {
        name: 'ieg',
        policyRev: policy.policy_rev,
        open: () => new GraphState(policy.body),
        types: [policy.body.event_type],
        fields,
        readsLabels: true,
        horizonMicros: new GraphState(policy.body).keptMicros,
        unusable: ({ payload }: FeatureEvent) =>
          fields.some((field) => typeof payload[field] === 'string') ? null : 'it names no identifier',
      },
      store,
      clock,
      telemetry.logger,
      () => this.signals,
    );
    this.policy = policy;
    this.signals = new GraphSignals(telemetry, clock, this);
  }
}
