import type { Offset } from '../../../rails/eb-ref.js';
import type { TopicPartition } from '../../../substrate/bus/bus.port.js';
import type { Reader } from '../../../substrate/bus/consumption.port.js';
import type { Limit } from './retention.core.js';

/** Roles that the policy says are not run are no readers; of every other one it has to be known what it needs. */
export function running(readers: readonly Reader[], notRun: readonly string[]): readonly Reader[] {
  return readers.filter(({ role }) => !notRun.includes(role));
}

/** What everybody who reads a partition needs of it. Who could not be asked may need all of it, whatever he reads. */
export function limitsOf(readers: readonly Reader[], { topic, partition }: TopicPartition): readonly Limit[] {
  return readers.flatMap(({ role, topics, answer, fault }): readonly Limit[] => {
    if (answer === null) return [{ by: `${role} (${fault ?? 'not reached'})`.slice(0, 300), offset: null }];
    const here = (place: { readonly topic: string; readonly partition: number }): boolean =>
      place.topic === topic && place.partition === partition;
    const holds = answer.holds.filter(here).map(({ offset, why }): Limit => ({ by: why, offset }));
    if (!topics.includes(topic)) return holds;
    const place = answer.positions.find(here);
    // A start stands still where its place is gone, though nothing between there and its next work is any of its business.
    return [{ by: role, offset: place?.restart_offset ?? place?.next_offset ?? null }, ...holds];
  });
}

/** A place that a reader has to reach, and where it is. */
export interface Lag extends TopicPartition {
  readonly role: string;
  /** null: it could not be asked, or has begun with nothing of this partition. */
  readonly at: Offset | null;
  readonly target: Offset;
  /** Why it could not be asked. */
  readonly fault?: string;
}

/** Who has not reached a target yet, of everybody who reads it, the furthest behind first. */
export function lagsOf(
  readers: readonly Reader[],
  targets: readonly (TopicPartition & { readonly offset: Offset; readonly lowWater: Offset })[],
): readonly Lag[] {
  const lags = readers.flatMap(({ role, topics, answer, fault }) =>
    targets
      .filter(({ topic }) => topics.includes(topic))
      .flatMap(({ topic, partition, offset: target, lowWater }): readonly Lag[] => {
        if (answer === null) return [{ role, topic, partition, at: null, target, fault: fault ?? 'not reached' }];
        const found = answer.positions.find((place) => place.topic === topic && place.partition === partition);
        const at = found?.next_offset ?? null;
        // Who has nothing of a partition yet begins at its oldest record.
        return (at ?? lowWater) >= target ? [] : [{ role, topic, partition, at, target }];
      }),
  );
  return [...lags].sort((a, b) => b.target - (b.at ?? 0) - (a.target - (a.at ?? 0)) || (a.role < b.role ? -1 : 1));
}

/** For people: `ofp is at 100 of 112 on fp.bus.traffic.v1/0`. */
export function toldLag({ role, topic, partition, at, target, fault }: Lag): string {
  const place = `${topic}/${partition}`;
  if (fault !== undefined) return `${role} could not be asked (${fault})`;
  return `${role} is at ${at ?? 'nothing'} of ${target} on ${place}`;
}
