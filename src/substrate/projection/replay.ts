import { setImmediate } from 'node:timers/promises';
import type { Basis } from '../../rails/basis.js';
import type { Ref } from '../../rails/ref.js';
import type { EpochMicros } from '../../rails/time.js';
import type { FeatureEvent } from '../../rails/features/event-table.js';
import type { Offset, Position, TopicPartition } from '../bus/bus.port.js';
import type { Stretch, StretchBatch } from '../bus/stretch.js';
import type { Fold, FoldRecord, Taken } from './fold.js';
import type { FoldedState } from './runs.js';

/** What a replay takes of a record; the time of its append brings partitions near to the order in which they were written. */
export type ReplayRecord = FoldRecord & { readonly appendedAtMs: number };

/** A stretch, wherever it stands. */
export interface ReplayStretch extends Stretch {
  read(from: Offset, signal: AbortSignal): AsyncGenerator<StretchBatch<ReplayRecord>, void>;
}

export interface Replay {
  readonly basis: Basis;
  /** Those of one partition join, in their order. */
  readonly stretches: readonly ReplayStretch[];
}

/** The log as a rebuild reads it: the unit's module says how. */
export interface ReplayLog {
  /** What a plan says. */
  open(plan: Ref): Promise<Replay>;
  /** What came behind a plan: of the bus alone. */
  onward(stretch: Stretch): ReplayStretch;
}

/** Keeps rows for a checkpoint, and answers nothing. */
export class NewestOnly implements FoldedState {
  newest: EpochMicros | null = null;

  apply(events: readonly FeatureEvent[]): void {
    for (const { ts } of events) if (this.newest === null || ts > this.newest) this.newest = ts;
  }

  applyLabels(): void {
    // What a fact says is in its row.
  }
}

export interface Read extends TopicPartition, StretchBatch<ReplayRecord> {}

interface Cursor extends TopicPartition {
  readonly batches: AsyncGenerator<StretchBatch<ReplayRecord>, void>;
  readMs: number;
}

/**
 * All stretches, the partition that lags behind first: histories are then extended at their end, as they were when it happened, which is what they are
 * quick at. The order changes no state (law R11).
 * @param from where each partition goes on
 */
export async function* readTogether(
  stretches: readonly ReplayStretch[],
  from: Positions,
  signal: AbortSignal,
): AsyncGenerator<Read, void> {
  const names = new Map<string, ReplayStretch[]>();
  for (const stretch of stretches) {
    const name = nameOf(stretch);
    names.set(name, [...(names.get(name) ?? []), stretch]);
  }
  let open: Cursor[] = [...names.values()].flatMap((parts) => {
    const [first] = parts;
    if (first === undefined) return [];
    const { topic, partition } = first;
    return [{ topic, partition, batches: joined(parts, from.of(first), signal), readMs: -1 }];
  });
  try {
    while (open.length > 0) {
      const cursor = open.reduce((least, each) => (each.readMs < least.readMs ? each : least));
      const { done, value } = await cursor.batches.next();
      if (done === true) {
        open = open.filter((each) => each !== cursor);
        continue;
      }
      cursor.readMs = value.records.at(-1)?.appendedAtMs ?? cursor.readMs;
      const { topic, partition } = cursor;
      yield { topic, partition, ...value };
    }
  } finally {
    for (const { batches } of open) await batches.return();
  }
}

async function* joined(
  parts: readonly ReplayStretch[],
  from: Offset,
  signal: AbortSignal,
): AsyncGenerator<StretchBatch<ReplayRecord>, void> {
  for (const part of parts) if (part.end > from) yield* part.read(Math.max(from, part.start) as Offset, signal);
}

/** Records at a time: between two of these, whoever else is served by this process has its turn. */
const SLICE_RECORDS = 200;

/** Gives a batch to a fold without holding up what else the process does. */
export async function folded<State extends FoldedState>(
  fold: Fold<State>,
  { records, ...at }: Read,
  onTaken: (taken: Taken) => void = () => undefined,
): Promise<void> {
  for (let start = 0; start < records.length; start += SLICE_RECORDS) {
    onTaken(fold.take(at, records.slice(start, start + SLICE_RECORDS)));
    await setImmediate();
  }
}

/** Where each partition goes on; one that is not named begins at 0. */
export class Positions {
  readonly #next = new Map<string, Position>();

  constructor(positions: readonly Position[]) {
    for (const position of positions) this.move(position, position.offset);
  }

  of(at: TopicPartition): Offset {
    return this.#next.get(nameOf(at))?.offset ?? (0 as Offset);
  }

  move({ topic, partition }: TopicPartition, offset: Offset): void {
    this.#next.set(nameOf({ topic, partition }), { topic, partition, offset });
  }

  all(): readonly Position[] {
    return [...this.#next.values()];
  }
}

function nameOf({ topic, partition }: TopicPartition): string {
  return `${topic} ${partition}`;
}
