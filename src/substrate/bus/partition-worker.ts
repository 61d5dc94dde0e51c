import { ProbityError } from '../../rails/errors/probity-error.js';
import { type Clock } from '../clock/clock.port.js';
import { asOffset } from '../../rails/eb-ref.js';
import {
  type ConsumerOptions,
  type Offset,
  type PartitionMarks,
  type Position,
  type RecordBatch,
  type TopicPartition,
} from './bus.port.js';

/** What the workers of one consumer share. Every adapter fills it in its own way. */
export interface WorkerContext {
  readonly options: Pick<ConsumerOptions, 'positions' | 'startWhenUnknown' | 'onBatch'>;
  readonly clock: Clock;
  /** The marks of now, of these partitions; may reject while the bus is away. */
  readonly marksOf: (places: readonly TopicPartition[]) => Promise<readonly PartitionMarks[]>;
  readonly heartbeat: () => Promise<void>;
  /** Told of every failure of the unit's own code or of the bus, for the log; must not throw. */
  readonly onFailure: (event: WorkerFailure, places: readonly TopicPartition[], fault: unknown) => void;
}

/** Names of log events. */
export type WorkerFailure =
  | 'bus_assignment_failed'
  | 'bus_batch_failed'
  | 'bus_fetch_failed'
  | 'bus_group_failed'
  | 'bus_partition_halted'
  | 'bus_positions_failed'
  | 'bus_revocation_failed';

/** The first wait after a failure doubles up to the last: 50 ms, 100 ms … 5 s. A handler that fails on a dead database is then tried often enough to go on within seconds, and seldom enough not to keep it down. */
const BACKOFF_MS = { first: 50, last: 5_000 } as const;

export function backoffMs(failures: number): number {
  return Math.min(BACKOFF_MS.last, BACKOFF_MS.first * 2 ** Math.min(failures - 1, 20));
}

/** For a poll that begins on a reader that was closed. */
export function readerClosed(): ProbityError {
  return new ProbityError('BUS_UNAVAILABLE', 'the reader was closed');
}

/**
 * Why a position cannot be read from, or undefined. Beginning elsewhere instead would skip records without a word, or
 * apply records of a log that the position was not taken from.
 */
export function positionFault(
  { topic, partition }: TopicPartition,
  offset: Offset,
  { lowWater, highWater }: Pick<PartitionMarks, 'lowWater' | 'highWater'>,
): ProbityError | undefined {
  const data = { topic, partition, offset, lowWater, highWater };
  if (offset < lowWater)
    return new ProbityError(
      'BUS_OUT_OF_RETENTION',
      `${topic}/${partition} is wanted from ${offset}, but its oldest record stands at ${lowWater}`,
      { data },
    );
  if (offset > highWater)
    return new ProbityError(
      'BUS_POSITION_BEYOND_LOG',
      `${topic}/${partition} is wanted from ${offset}, but the log ends at ${highWater}`,
      { data },
    );
  return undefined;
}

function placeKey({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}

/**
 * One partition during one assignment to one member: from the moment it was given until it is handed back. It knows
 * where to go on and delivers one batch at a time; who fetches, and how, is the adapter's affair.
 *
 *     loading --position known--> ready --deliver--> busy --handled--> ready
 *        |                          |                  \--failed--> (wait, ask the store again) --> ready
 *        |                          |                                                        \
 *        \--------------------------+--- position outside the log ---------------------------> halted
 *     any --end()--> ended, once the batch in flight has settled
 *
 * The position comes from the consumer's own store (law R5): at the assignment and after each failed batch. Where the
 * store names none, the assignment's starting mark is taken **once**: taking the high-water mark anew after a failure
 * would jump over the very batch that failed.
 *
 * An adapter that is given batches (instead of fetching them) calls `deliver` and afterwards seeks to `nextOffset`.
 * Its use, in order: `new`, the unit's `onAssigned`, `beginPartitions`, then `deliver` while `ready`, then `end`.
 */
export class PartitionWorker implements TopicPartition {
  readonly topic: TopicPartition['topic'];
  readonly partition: number;
  readonly #context: WorkerContext;
  readonly #abort = new AbortController();
  #state: 'loading' | 'ready' | 'busy' | 'halted' = 'loading';
  #next: Offset | undefined;
  #halted: ProbityError | undefined;
  #failures = 0;
  #flight: Promise<void> = Promise.resolve();

  constructor(place: TopicPartition, context: WorkerContext) {
    this.topic = place.topic;
    this.partition = place.partition;
    this.#context = context;
  }

  /** Aborts once the partition is taken away. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** True when a batch from `nextOffset` may be delivered. */
  get ready(): boolean {
    return this.#state === 'ready' && !this.signal.aborted;
  }

  /** Where to go on; undefined until the store was asked. */
  get nextOffset(): Offset | undefined {
    return this.#next;
  }

  get halted(): ProbityError | undefined {
    return this.#halted;
  }

  /** Takes the position, or stands still by name where the log does not hold it. */
  place(offset: Offset, marks: Pick<PartitionMarks, 'lowWater' | 'highWater'>): void {
    if (this.#state === 'halted') return;
    this.#next = offset;
    const fault = positionFault(this, offset, marks);
    if (fault === undefined) this.#state = 'ready';
    else this.halt(fault);
  }

  /** Stands still until an operator acts and the partition is assigned anew. */
  halt(fault: ProbityError): void {
    if (this.#state === 'halted') return;
    this.#state = 'halted';
    this.#halted = fault;
    this.#context.onFailure('bus_partition_halted', [this], fault);
  }

  /** Moves over offsets that hold no record (gaps). */
  advance(offset: Offset): void {
    if (this.#next !== undefined && offset > this.#next) this.#next = offset;
  }

  /** One batch to its end, a failure's back-off and new position included. Never rejects. */
  deliver(batch: RecordBatch): Promise<void> {
    if (!this.ready) return Promise.resolve();
    this.#state = 'busy';
    this.#flight = this.#deliver(batch);
    return this.#flight;
  }

  /** Aborts the signal and resolves when the batch in flight has settled. Nothing is delivered from the call on. */
  async end(): Promise<void> {
    this.#abort.abort();
    await this.#flight;
  }

  async #deliver(batch: RecordBatch): Promise<void> {
    const { options, heartbeat, onFailure, clock } = this.#context;
    try {
      await options.onBatch(batch, { signal: this.signal, heartbeat });
      this.#failures = 0;
      this.#next = batch.nextOffset;
      this.#state = 'ready';
      return;
    } catch (fault) {
      this.#failures += 1;
      // A handler that gives up because its partition was taken away has done what it should.
      if (!this.signal.aborted) onFailure('bus_batch_failed', [this], fault);
    }
    await clock.sleep(backoffMs(this.#failures), this.signal);
    await beginPartitions([this], this.#context);
  }
}

/**
 * Gives each worker its position: asks the store for all of them at once, and the bus for its marks, again and again
 * with growing waits until both answer or the partitions are taken away. Never rejects.
 */
export async function beginPartitions(workers: readonly PartitionWorker[], context: WorkerContext): Promise<void> {
  const { options, clock, marksOf, onFailure } = context;
  for (let failures = 1; ; failures += 1) {
    const open = workers.filter(({ signal }) => !signal.aborted);
    if (open.length === 0) return;
    try {
      const stored = indexed(await options.positions(open.map(({ topic, partition }) => ({ topic, partition }))));
      // The marks are read after the positions: read before, a position that moved meanwhile could seem to lie past the end.
      const marks = indexed(await marksOf(open));
      for (const worker of open) {
        const mark = marks.get(placeKey(worker));
        if (mark === undefined) throw new ProbityError('BUS_UNAVAILABLE', `no marks of ${placeKey(worker)}`);
        const start = options.startWhenUnknown === 'low-water' ? mark.lowWater : mark.highWater;
        const position: Position | undefined = stored.get(placeKey(worker));
        worker.place(asOffset(position?.offset ?? worker.nextOffset ?? start), mark);
      }
      return;
    } catch (fault) {
      onFailure('bus_positions_failed', open, fault);
      // Cut short when one of them is taken away; the signals of those still open are looked at anew in each round, or
      // one that has aborted already would let no later wait take any time.
      await clock.sleep(backoffMs(failures), AbortSignal.any(open.map(({ signal }) => signal)));
    }
  }
}

function indexed<Place extends TopicPartition>(places: readonly Place[]): Map<string, Place> {
  return new Map(places.map((place) => [placeKey(place), place]));
}
