import { ProbityError } from '../../../rails/errors/probity-error.js';
import { type Clock } from '../../clock/clock.port.js';
import { type BusReader, type Position, type RecordBatch } from '../bus.port.js';
import { positionFault, readerClosed } from '../partition-worker.js';
import { Bell } from './bell.js';
import { Growth } from './growth.js';
import { type LogReader } from './log.js';
import { type Signals } from './signals.js';
import { type TopicCatalog } from './topics.js';

export interface ReaderContext {
  readonly log: LogReader;
  readonly topics: TopicCatalog;
  readonly signals: Signals;
  readonly clock: Clock;
  readonly onClosed: (reader: BusReader) => void;
}

/** Reads on from its own positions. A poll that finds nothing waits to be told of an append and looks again. */
export class EmbeddedReader implements BusReader {
  readonly #context: ReaderContext;
  readonly #bell: Bell;
  readonly #silence: () => void;
  #places: readonly Place[];
  #polling: Promise<unknown> = Promise.resolve();
  #closed = false;

  private constructor(context: ReaderContext, positions: readonly Position[], topicIds: readonly number[]) {
    this.#context = context;
    this.#bell = new Bell(context.clock);
    this.#places = positions.map((position, index) => ({
      position,
      topicId: topicIds[index] ?? -1,
      partition: position.partition,
      growth: new Growth(),
    }));
    this.#silence = context.signals.onAppend(this.#places, ({ growth }, records) => {
      growth.rung(records);
      this.#bell.ring();
    });
  }

  /** @throws BUS_TOPIC_UNKNOWN; VALUE_INVALID when a partition is named twice */
  static async open(context: ReaderContext, positions: readonly Position[]): Promise<EmbeddedReader> {
    const topics = await context.topics.findPlaces(positions);
    if (new Set(positions.map(({ topic, partition }) => `${topic}/${partition}`)).size < positions.length)
      throw new ProbityError('VALUE_INVALID', 'a reader has one position for each of its partitions');
    return new EmbeddedReader(
      context,
      positions,
      topics.map(({ topicId }) => topicId),
    );
  }

  /** Polls of one reader run one after the other: each begins where the one before ended. */
  poll(options: { readonly recordsMax: number; readonly waitMs: number }): Promise<readonly RecordBatch[]> {
    if (this.#closed) return Promise.reject(readerClosed());
    const polled = this.#polling.then(() => this.#poll(options));
    this.#polling = polled.catch(() => undefined);
    return polled;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#silence();
    this.#bell.ring();
    await this.#polling;
    this.#context.onClosed(this);
  }

  async #poll({ recordsMax, waitMs }: { recordsMax: number; waitMs: number }): Promise<readonly RecordBatch[]> {
    const { clock } = this.#context;
    const deadlineMs = clock.monotonicMs() + waitMs;
    while (!this.#closed && this.#places.length > 0) {
      const batches = await this.#fetch(recordsMax);
      const leftMs = deadlineMs - clock.monotonicMs();
      if (batches.length > 0 || leftMs <= 0) return batches;
      await this.#bell.wait(leftMs);
    }
    return [];
  }

  async #fetch(recordsMax: number): Promise<readonly RecordBatch[]> {
    const due = this.#places.filter(({ growth }) => growth.due);
    if (due.length === 0) return [];
    const looks = due.map(({ growth }) => growth.look());
    const positions = due.map(({ position }) => position);
    const served = new Set<Place>();
    const batches: RecordBatch[] = [];
    try {
      const fetched = await this.#context.log.fetch(positions, { partitionRecordsMax: recordsMax, recordsMax });
      for (const found of fetched) {
        const fault = positionFault(found, found.offset, found.marks);
        if (fault !== undefined) throw fault;
      }
      due.forEach((place, index) => {
        const found = fetched[index];
        if (found === undefined) return;
        const { batch } = found;
        if (batch !== undefined) {
          served.add(place);
          batches.push(batch);
          place.position = { ...place.position, offset: batch.nextOffset };
        }
        looks[index]?.found(found, place.position.offset);
      });
    } catch (fault) {
      for (const look of looks) look.failed();
      throw fault;
    }
    // Whoever was served goes to the end of the line, so that one full partition cannot starve the others.
    this.#places = [...this.#places.filter((place) => !served.has(place)), ...served];
    return batches;
  }
}

/** One partition of a reader. */
interface Place {
  position: Position;
  readonly topicId: number;
  readonly partition: number;
  readonly growth: Growth;
}
