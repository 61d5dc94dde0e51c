import { Injectable } from '@nestjs/common';
import type { Static } from '@sinclair/typebox';
import { ProbityError } from '../../rails/errors/probity-error.js';
import type { FeatureEvent } from '../../rails/features/event-table.js';
import { FeatureState } from '../../rails/features/feature-state.js';
import { type FeatureSnapshot, snapshotOf } from '../../rails/features/snapshot.js';
import type { RunPins } from '../../rails/pins.js';
import { toEpochMicros } from '../../rails/time.js';
import type { Sealed } from '../../rails/schema.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import type { CallContext } from '../../substrate/rpc/rpc.port.js';
import { FeatureEngine } from './feature-plane.engine.js';
import {
  FeaturePlanePort,
  type SnapshotResult,
  type SnapshotsRequest,
  type SnapshotsResponse,
  type SnapshotTriggerSchema,
} from './feature-plane.port.js';

type Trigger = Sealed<typeof SnapshotTriggerSchema>;

/** Snapshots from the memory of this process, all of one call on one basis. */
@Injectable()
export class FeaturePlaneService extends FeaturePlanePort {
  readonly #groups: ReadonlySet<string>;

  constructor(
    private readonly engine: FeatureEngine,
    private readonly clock: Clock,
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
      await this.#reach(triggers, wait_ms, signal);
      // From here on nothing is awaited: state and vector are of one moment, and so are all answers.
      const results = this.#answers(pins, triggers, new Set(groups));
      // The rows of the wire form are mutable arrays; these are the very same values.
      return { results } as Static<typeof SnapshotsResponse>;
    });
  }

  /** Until everything before the triggers on their own partitions has been applied, or so long. */
  async #reach(triggers: readonly Trigger[], waitMs: number, signal: AbortSignal): Promise<void> {
    const furthest = new Map<number, number>();
    for (const { partition, offset } of triggers)
      furthest.set(partition, Math.max(offset, furthest.get(partition) ?? 0));
    const missing = [...furthest].filter(([partition, offset]) => !this.engine.vector.hasReached(partition, offset));
    if (missing.length === 0 || waitMs === 0) return;
    const late = new AbortController();
    const end = AbortSignal.any([signal, late.signal]);
    const reached = Promise.all(
      missing.map(([partition, offset]) => this.engine.vector.reached(partition, offset, end)),
    ).then(() => late.abort());
    // The clock of the platform, so that a test can hold the time still; it wakes when there is nothing left to wait for.
    await this.clock.sleep(waitMs, end);
    late.abort();
    await reached;
  }

  #answers(pins: RunPins, triggers: readonly Trigger[], groups: ReadonlySet<string>): readonly SnapshotResult[] {
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
      const event = eventOf(trigger);
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

function eventOf({ event_id, event_type, ts_utc, partition, offset, payload }: Trigger): FeatureEvent {
  return { eventId: event_id, eventType: event_type, ts: toEpochMicros(ts_utc), partition, offset, payload };
}
