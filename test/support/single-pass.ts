import type { Static } from '@sinclair/typebox';
import type { SnapshotsRequest } from '../../src/modules/feature-plane/feature-plane.port.js';
import { asBasis, type BasisRecord, nextOffset } from '../../src/rails/basis.js';
import { asTopicName, type Offset, type TopicName } from '../../src/rails/eb-ref.js';
import type { FeatureDefinitions } from '../../src/rails/features/definition.schema.js';
import type { FeatureEvent } from '../../src/rails/features/event-table.js';
import { FeatureState } from '../../src/rails/features/feature-state.js';
import { labelFactOf } from '../../src/rails/features/label-table.js';
import { planOf } from '../../src/rails/features/plan.js';
import { type FeatureSnapshot, snapshotOf } from '../../src/rails/features/snapshot.js';
import type { Label } from '../../src/rails/events/label.schema.js';
import { readEvent } from '../../src/rails/events/read-event.js';
import type { RunPins } from '../../src/rails/pins.js';
import type { PolicyRev } from '../../src/rails/policy-rev.js';
import { toEpochMicros } from '../../src/rails/time.js';
import type { Bus, BusRecord } from '../../src/substrate/bus/bus.port.js';
import { placeOf } from './event-place.js';

const TRAFFIC = asTopicName('fp.bus.traffic.v1');
const CONTROL = asTopicName('fp.bus.control.v1');

export type Trigger = Static<typeof SnapshotsRequest>['triggers'][number];

type PlacedLabel = Label & { readonly partition: number; readonly offset: Offset };

/**
 * The features of a run as one pass over the log makes them, with nothing between the log and the state: no checkpoint, no restart, no unit. What a
 * feature plane that was killed many times says has to be the same.
 */
export class SinglePass {
  readonly triggers: readonly Trigger[];
  readonly #events: readonly FeatureEvent[];
  readonly #labels: readonly PlacedLabel[];

  private constructor(
    private readonly pins: RunPins,
    read: readonly Placed[],
  ) {
    const events: FeatureEvent[] = [];
    const triggers: Trigger[] = [];
    const labels: PlacedLabel[] = [];
    for (const { topic, partition, record } of read) {
      const found = readEvent(record.value);
      if (!found.ok || (found.event.pins as Partial<RunPins>).run_id !== pins.run_id) continue;
      const { eventId, eventType, ts, payload } = found.event;
      const { offset } = record;
      if (topic === CONTROL && eventType === 'label')
        labels.push({ ...(payload as unknown as Label), partition, offset });
      if (topic !== TRAFFIC || eventType !== 'transaction') continue;
      events.push({ eventId, eventType, ts, partition, offset, payload });
      triggers.push(placeOf(found.event, { partition, offset }));
    }
    [this.#events, this.#labels, this.triggers] = [events, labels, triggers];
  }

  static async read(bus: Bus, pins: RunPins): Promise<SinglePass> {
    const read = [await recordsOf(bus, TRAFFIC), await recordsOf(bus, CONTROL)].flat();
    return new SinglePass(pins, read);
  }

  get labels(): number {
    return this.#labels.length;
  }

  /** Of these triggers, at the basis at which somebody else answered. */
  snapshots(
    triggers: readonly Trigger[],
    { policy_rev, body }: { readonly policy_rev: PolicyRev; readonly body: FeatureDefinitions },
    basis: BasisRecord,
  ): readonly FeatureSnapshot[] {
    const state = new FeatureState(planOf(body));
    const known = asBasis(basis);
    const within = (topic: typeof TRAFFIC, partition: number, offset: number): boolean =>
      offset < nextOffset(known, topic, partition);
    state.apply(this.#events.filter(({ partition, offset }) => within(TRAFFIC, partition, offset)));
    state.applyLabels(
      this.#labels
        .filter(({ partition, offset }) => within(CONTROL, partition, offset))
        .flatMap((label) => labelFactOf(label, label) ?? []),
    );
    return triggers.map(({ event_id, event_type, ts_utc, partition, offset, payload }) => {
      const ts = toEpochMicros(ts_utc);
      const trigger: FeatureEvent = { eventId: event_id, eventType: event_type, ts, partition, offset, payload };
      const { pins } = this;
      return snapshotOf({ pins, trigger, definitions: policy_rev, groups: state.snapshot(trigger), inputBasis: basis });
    });
  }
}

export interface Placed {
  readonly topic: TopicName;
  readonly partition: number;
  readonly record: BusRecord;
}

/** All that stands on a topic now, partition by partition. */
export async function recordsOf(bus: Bus, topic: TopicName): Promise<readonly Placed[]> {
  const placed: Placed[] = [];
  for (const { partition, lowWater, highWater } of await bus.marks(topic)) {
    const reader = await bus.openReader([{ topic, partition, offset: lowWater }]);
    try {
      let next: number = lowWater;
      while (next < highWater)
        for (const { records, nextOffset: end } of await reader.poll({ recordsMax: 2_000, waitMs: 1_000 })) {
          for (const record of records) placed.push({ topic, partition, record });
          next = end;
        }
    } finally {
      await reader.close();
    }
  }
  return placed;
}
