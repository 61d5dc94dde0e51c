import { advance, type Basis, emptyBasis, nextOffset } from '../../rails/basis.js';
import { asTopicName, type Offset, type TopicName } from '../../rails/eb-ref.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { toEpochMicros } from '../../rails/time.js';
import type { Bus, PartitionMarks } from '../../substrate/bus/bus.port.js';
import type { ChunkErrors } from '../run-operate/archive.port.js';
import type { BasisSelector, BuildPlan } from './dataset.schema.js';

export const TRAFFIC = asTopicName('fp.bus.traffic.v1');
export const CONTROL = asTopicName('fp.bus.control.v1');
export const TOPICS: readonly TopicName[] = [TRAFFIC, CONTROL];
const POLL_WAIT_MS = 5_000;
/** What the failures of a replay are called here. */
export const REPLAY_FAILURES: ChunkErrors = {
  gap: 'OFS_REPLAY_BASIS_GAP',
  unresolved: 'OFS_BASIS_UNRESOLVED',
  mismatch: 'OFS_REPLAY_BASIS_MISMATCH',
};

export interface ResolvedBasis {
  readonly start: BuildPlan['replay_start'];
  readonly end: Basis;
}

/**
 * What a selector means at this moment, as offsets. Nothing but these is ever looked at again.
 * @throws OFS_BASIS_UNRESOLVED for offsets that the log does not have
 */
export async function resolveBasis(bus: Bus, selector: BasisSelector): Promise<ResolvedBasis> {
  let end = emptyBasis(TOPICS);
  const marks = (await Promise.all(TOPICS.map((topic) => bus.marks(topic)))).flat();
  if ('end' in selector) {
    demandKnown(selector.end, marks);
    demandKnown(selector.start ?? {}, marks);
    for (const [topic, offsets] of Object.entries(selector.end))
      for (const [partition, next] of Object.entries(offsets))
        end = advance(end, [{ topic, partition: Number(partition), nextOffset: next }]);
    return { start: selector.start ?? {}, end };
  }
  const until = 'at' in selector ? null : Math.floor(toEpochMicros(selector.appended_until_utc) / 1_000);
  const ends = await Promise.all(
    marks.map(async (mark) => ({
      topic: mark.topic,
      partition: mark.partition,
      nextOffset: until === null ? mark.highWater : await firstAfter(bus, mark, until),
    })),
  );
  return { start: {}, end: advance(end, ends) };
}

export function startOf(plan: Pick<BuildPlan, 'replay_start'>, topic: string, partition: number): Offset {
  return plan.replay_start[topic]?.[String(partition)] ?? (0 as Offset);
}

/** Whether a basis counts what another one does not. */
export function reachesBeyond(inner: Basis, outer: Basis): boolean {
  return Object.entries(inner.topics).some(([topic, offsets]) =>
    Object.entries(offsets).some(
      ([partition, next]) => !Object.hasOwn(outer.topics, topic) || next > nextOffset(outer, topic, Number(partition)),
    ),
  );
}

function demandKnown(offsets: BuildPlan['replay_start'], marks: readonly PartitionMarks[]): void {
  for (const [topic, byPartition] of Object.entries(offsets)) {
    for (const [partition, offset] of Object.entries(byPartition)) {
      const mark = marks.find((each) => each.topic === topic && each.partition === Number(partition));
      if (mark === undefined)
        throw new ProbityError('OFS_BASIS_UNRESOLVED', `there is no partition ${partition} of ${topic} to replay`);
      if (offset > mark.highWater)
        throw new ProbityError(
          'OFS_BASIS_UNRESOLVED',
          `${topic}/${partition} ends at ${mark.highWater}, and ${offset} was asked for`,
        );
    }
  }
}

/** The offset behind the last record that was appended until then; times of appends rise with offsets. */
async function firstAfter(
  bus: Bus,
  { topic, partition, lowWater, highWater }: PartitionMarks,
  untilMs: number,
): Promise<Offset> {
  let [low, high] = [Number(lowWater), Number(highWater)];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const reader = await bus.openReader([{ topic, partition, offset: middle as Offset }]);
    try {
      const [batch] = await reader.poll({ recordsMax: 1, waitMs: POLL_WAIT_MS });
      const record = batch?.records[0];
      // Offsets may have gaps: the record that stands there, or the next one, decides for all up to it.
      if (record === undefined || record.offset >= high || record.appendedAtMs > untilMs) high = middle;
      else low = record.offset + 1;
    } finally {
      await reader.close();
    }
  }
  return low as Offset;
}
