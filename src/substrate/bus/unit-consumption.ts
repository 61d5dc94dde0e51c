import type { Offset } from '../../rails/eb-ref.js';
import type { Bus, LogHolder, PartitionMarks, Position, PositionStore } from './bus.port.js';
import type { ConsumptionAnswer } from './consumption.port.js';
import { marksOf } from './standing-marks.js';

/** A unit that passes by what is none of its work notes its position after so many records at the latest. */
const LOOKED_THROUGH_MAX = 2_000;
const POLL_RECORDS = 500;
const POLL_WAIT_MS = 250;

/** What a unit consumes, and where it has noted how far it has got. */
export interface ConsumedTopics {
  readonly topics: readonly string[];
  readonly store: PositionStore;
  /** Where it begins with a partition of which it has noted nothing. */
  readonly startWhenUnknown: 'low-water' | 'high-water';
}

/** What a unit answers about its reading of the log: from its own store, so that any process that runs it says the same. */
export class UnitConsumption {
  constructor(
    private readonly bus: Bus,
    private readonly consumer: ConsumedTopics | undefined,
    private readonly holder: LogHolder | undefined,
  ) {}

  async positions(): Promise<ConsumptionAnswer> {
    const holds = (await this.holder?.holds()) ?? [];
    return {
      positions: this.consumer === undefined ? [] : await this.#needed(this.consumer),
      holds: holds.map(({ topic, partition, offset, why }) => ({ topic, partition, offset, why: why.slice(0, 200) })),
    };
  }

  async #needed({ store, topics, startWhenUnknown }: ConsumedTopics): Promise<ConsumptionAnswer['positions']> {
    const marks = (await Promise.all(topics.map((topic) => marksOf(this.bus, topic)))).flat();
    const stored = await (store.restartsAt?.bind(store) ?? store.positions.bind(store))(marks);
    const noted = new Map(stored.map((position) => [nameOf(position), position.offset]));
    const known = new Map([
      ...(startWhenUnknown === 'low-water' ? marks.map((mark) => [nameOf(mark), mark.lowWater] as const) : []),
      ...noted,
    ]);
    const behind = marks.flatMap((mark) => {
      const offset = known.get(nameOf(mark));
      // Below the oldest record nothing can be looked through: whoever stands there has lost its place, and says so.
      return offset === undefined || offset < mark.lowWater || offset >= mark.highWater ? [] : [{ ...mark, offset }];
    });
    const moved = await this.#lookThrough(store, behind);
    return marks.map((mark) => {
      const { topic, partition } = mark;
      const offset = moved.get(nameOf(mark)) ?? known.get(nameOf(mark)) ?? null;
      return { topic, partition, next_offset: offset, restart_offset: noted.get(nameOf(mark)) ?? null };
    });
  }

  /** Past what is no work for the unit, and past gaps at the end of a log: neither is ever noted by itself. */
  async #lookThrough(
    store: PositionStore,
    behind: readonly (PartitionMarks & Position)[],
  ): Promise<ReadonlyMap<string, Offset>> {
    const reached = new Map<string, Offset>();
    const open = new Map(behind.map((each) => [nameOf(each), { ...each, seen: 0 }]));
    if (open.size === 0) return reached;
    const reader = await this.bus.openReader(
      behind.map(({ topic, partition, offset }) => ({ topic, partition, offset })),
    );
    try {
      while (open.size > 0) {
        const batches = await reader.poll({ recordsMax: POLL_RECORDS, waitMs: POLL_WAIT_MS });
        // Held back by an append that has not ended: what was found so far is true.
        if (batches.length === 0) break;
        for (const batch of batches) {
          const name = nameOf(batch);
          const at = open.get(name);
          if (at === undefined) continue;
          const wanted = batch.records.find((record) => store.needs?.(record, batch.topic) ?? true);
          at.seen += batch.records.length;
          reached.set(name, wanted?.offset ?? batch.nextOffset);
          if (wanted !== undefined || batch.nextOffset >= at.highWater || at.seen >= LOOKED_THROUGH_MAX)
            open.delete(name);
        }
      }
    } finally {
      await reader.close();
    }
    return reached;
  }
}

function nameOf({ topic, partition }: { readonly topic: string; readonly partition: number }): string {
  return `${topic}/${partition}`;
}
