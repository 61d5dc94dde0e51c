import { Injectable } from '@nestjs/common';
import type { Static } from '@sinclair/typebox';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { FeatureState } from '../../rails/features/feature-state.js';
import { type FeatureSnapshot, snapshotOf } from '../../rails/features/snapshot.js';
import type { RunPins } from '../../rails/pins.js';
import { type EventPlace, eventAt } from '../../substrate/projection/event-place.js';
import type { Generation, Live, RebuildOrder } from '../../substrate/projection/generation.schema.js';
import type { CallContext } from '../../substrate/rpc/rpc.port.js';
import { FeatureEngine } from './feature-plane.engine.js';
import {
  FeaturePlanePort,
  type SnapshotResult,
  type SnapshotsRequest,
  type SnapshotsResponse,
} from './feature-plane.port.js';
import { FeatureRebuilds } from './feature-plane.rebuilds.js';

/** Snapshots from the memory of this process, all of one call on one basis. */
@Injectable()
export class FeaturePlaneService extends FeaturePlanePort {
  readonly #groups: ReadonlySet<string>;

  constructor(
    private readonly engine: FeatureEngine,
    private readonly rebuilds: FeatureRebuilds,
  ) {
    super();
    this.#groups = new Set(engine.plan.groups.map(({ definition }) => definition.name));
  }

  async snapshots(
    { pins, triggers, groups, wait_ms }: Static<typeof SnapshotsRequest>,
    { signal }: Pick<CallContext, 'signal'>,
  ): Promise<Static<typeof SnapshotsResponse>> {
    return await this.engine.signals.calls.observe({}, async () => {
      this.engine.demandOwnership();
      const unknown = groups.find((name) => !this.#groups.has(name));
      if (unknown !== undefined)
        throw new ProbityError(
          'OFP_GROUP_UNKNOWN',
          `no group "${unknown}"; there are: ${[...this.#groups].join(', ')}`,
        );
      await this.engine.reach(triggers, wait_ms, signal);
      // From here on nothing is awaited: state and vector are of one moment, and so are all answers.
      const results = this.#answers(pins, triggers, new Set(groups));
      // The rows of the wire form are mutable arrays; these are the very same values.
      return { results } as Static<typeof SnapshotsResponse>;
    });
  }

  live(): Promise<Live> {
    return this.rebuilds.live();
  }

  async rebuild(order: RebuildOrder): Promise<Generation> {
    return await this.rebuilds.rebuild(order);
  }

  #answers(pins: RunPins, triggers: readonly EventPlace[], groups: ReadonlySet<string>): readonly SnapshotResult[] {
    const { vector, runs, plan, definitions, signals } = this.engine;
    // A run of which nothing was applied yet has an empty state, and that is an answer.
    const state = runs.find(pins)?.state ?? new FeatureState(plan);
    const inputBasis = vector.record();
    let [served, values, missing] = [0, 0, 0];
    const results = triggers.map((trigger): SnapshotResult => {
      if (!vector.hasReached(trigger.partition, trigger.offset))
        return {
          status: 'STALE',
          detail: `partition ${trigger.partition} stands at ${vector.nextOf('fp.bus.traffic.v1', trigger.partition) ?? 0}, before ${trigger.offset}`,
        };
      const event = eventAt(trigger);
      const snapshot: FeatureSnapshot = snapshotOf({
        pins,
        trigger: event,
        definitions: definitions.policy_rev,
        groups: state.snapshot(event, groups),
        inputBasis,
      });
      served += 1;
      for (const group of snapshot.groups) {
        values += Object.keys(group.values).length;
        missing += group.missing;
      }
      return { status: 'SERVED', snapshot };
    });
    signals.served('SERVED', served, values, missing);
    signals.served('STALE', triggers.length - served, 0, 0);
    return results;
  }
}
