import { ProbityError } from '../../../rails/errors/probity-error.js';
import { type Clock } from '../../clock/clock.port.js';
import { type Offset, type PartitionMarks, type Position, type TopicName } from '../bus.port.js';
import { offsetOf } from './kafka.log.core.js';
import { persist } from './kafka.persist.js';
import { READ_COMMITTED, READ_UNCOMMITTED } from './kafka.protocol.js';
import { type Wire } from './kafka.wire.js';

const EARLIEST = -2;
const LATEST = -1;
/** What a broker answers where no record is as young as was asked. */
const NO_OFFSET = '-1';

/** One kind of offset of all partitions of a topic, or the first ones since a time: one request per leader. A partition without any is left out. */
async function offsetsAt(
  wire: Wire,
  topic: string,
  timestamp: number,
  isolationLevel: number,
): Promise<ReadonlyMap<number, Offset>> {
  const byNode = new Map<number, number[]>();
  for (const [partition, node] of await wire.leaders(topic)) byNode.set(node, [...(byNode.get(node) ?? []), partition]);
  const answers = await Promise.all(
    [...byNode].map(([node, partitions]) =>
      wire.ask(node, (broker) =>
        broker.listOffsets({
          isolationLevel,
          topics: [{ topic, partitions: partitions.map((partition) => ({ partition, timestamp })) }],
        }),
      ),
    ),
  );
  const found = answers.flatMap(({ responses }) => responses.flatMap(({ partitions }) => partitions));
  return new Map(
    found.flatMap(({ partition, offset }) => (offset === NO_OFFSET ? [] : [[partition, offsetOf(offset)] as const])),
  );
}

interface MarksPlan {
  readonly wire: Wire;
  readonly clock: Clock;
  readonly timeoutMs: number;
}

/**
 * How long `marks` waits for transactions that were under way when it was asked. A commit's markers take 2–10 ms to be
 * written after the append was acknowledged; whoever appends and then asks must find their records counted. A
 * transaction whose writer died stays open until its time-out: the marks then stand where readers stand.
 */
const SETTLING_MS = 1_000;

/** Marks as a reader of committed records sees them. @throws WireError */
export async function committedMarks(plan: MarksPlan, topic: TopicName): Promise<readonly PartitionMarks[]> {
  const { wire, clock, timeoutMs } = plan;
  const startMs = clock.monotonicMs();
  const ask = (timestamp: typeof EARLIEST | typeof LATEST, isolation: number) =>
    persist({ wire, clock, deadlineMs: startMs + timeoutMs }, () => offsetsAt(wire, topic, timestamp, isolation));
  const ends = await ask(LATEST, READ_UNCOMMITTED);
  let high = await ask(LATEST, READ_COMMITTED);
  const settled = () => [...ends].every(([partition, end]) => (high.get(partition) ?? 0) >= end);
  for (let waitMs = 1; !settled() && clock.monotonicMs() - startMs < SETTLING_MS; waitMs = Math.min(waitMs * 2, 50)) {
    await clock.sleep(waitMs);
    high = await ask(LATEST, READ_COMMITTED);
  }
  const low = await ask(EARLIEST, READ_COMMITTED);
  return [...high]
    .map(([partition, highWater]) => ({ topic, partition, lowWater: low.get(partition) ?? highWater, highWater }))
    .sort((one, other) => one.partition - other.partition);
}

/** The first committed record since a time, of each partition; its end where there is none. @throws WireError */
export async function firstSince(
  plan: MarksPlan,
  topic: TopicName,
  appendedAtMs: number,
): Promise<readonly Position[]> {
  const { wire, clock, timeoutMs } = plan;
  const marks = await committedMarks(plan, topic);
  const deadlineMs = clock.monotonicMs() + timeoutMs;
  // Times below 0 are the broker's words for its ends.
  const since = Math.max(0, Math.floor(appendedAtMs));
  const found = await persist({ wire, clock, deadlineMs }, () => offsetsAt(wire, topic, since, READ_COMMITTED));
  return marks.map(({ partition, lowWater, highWater }) => {
    const offset = found.get(partition) ?? highWater;
    return { topic, partition, offset: Math.max(lowWater, Math.min(offset, highWater)) as Offset };
  });
}

/**
 * Why the broker calls a position out of range; undefined where it no longer is. Every position that was ever handed out
 * lies at or below the end of the log, uncommitted records included.
 */
export async function judgePosition(plan: MarksPlan, position: Position): Promise<ProbityError | undefined> {
  const { wire, clock, timeoutMs } = plan;
  const { topic, partition, offset } = position;
  const deadlineMs = clock.monotonicMs() + timeoutMs;
  const [low, high] = await persist({ wire, clock, deadlineMs }, async () => [
    (await offsetsAt(wire, topic, EARLIEST, READ_UNCOMMITTED)).get(partition),
    (await offsetsAt(wire, topic, LATEST, READ_UNCOMMITTED)).get(partition),
  ]);
  if (low !== undefined && offset < low) {
    return new ProbityError('BUS_OUT_OF_RETENTION', `${topic}/${partition} begins at ${low}, not at ${offset}`, {
      data: { topic, partition, offset, lowWater: low },
    });
  }
  if (high !== undefined && offset > high) {
    return new ProbityError('BUS_POSITION_BEYOND_LOG', `${topic}/${partition} ends at ${high}, before ${offset}`, {
      data: { topic, partition, offset, highWater: high },
    });
  }
  return undefined;
}
