import { type BusReader, type RecordBatch, type TopicPartition } from '../bus.port.js';
import { type Clock } from '../../clock/clock.port.js';
import { type KafkaFetcher } from './kafka.fetcher.js';
import { readerClosed } from '../partition-worker.js';
import { busError } from './kafka.persist.js';
import { type Wire } from './kafka.wire.js';

export interface ReaderPlan {
  readonly wire: Wire;
  readonly clock: Clock;
  readonly fetcher: KafkaFetcher;
  readonly places: readonly TopicPartition[];
  readonly requestTimeoutMs: number;
  readonly onClosed: () => void;
}

/** Reads without a group: nothing is joined, committed or left behind on the broker. */
export class KafkaReader implements BusReader {
  readonly #plan: ReaderPlan;
  readonly #closed = new AbortController();
  #turn = 0;

  constructor(plan: ReaderPlan) {
    this.#plan = plan;
  }

  async poll(options: { readonly recordsMax: number; readonly waitMs: number }): Promise<readonly RecordBatch[]> {
    const { clock, fetcher, places, requestTimeoutMs } = this.#plan;
    if (this.#closed.signal.aborted) throw readerClosed();
    const { signal } = this.#closed;
    const startMs = clock.monotonicMs();
    fetcher.demand(true);
    try {
      while (!signal.aborted) {
        for (const place of places) {
          const failure = fetcher.failure(place);
          if (failure !== undefined) throw failure;
        }
        const batches = this.#take(options.recordsMax);
        if (batches.length > 0) return [...batches, ...this.#gaps()];
        const elapsedMs = clock.monotonicMs() - startMs;
        // Even a poll without a wait asks the broker once: "nothing" must mean that it has nothing.
        if (elapsedMs >= options.waitMs && fetcher.answered) return this.#gaps();
        if (elapsedMs >= options.waitMs + requestTimeoutMs) {
          throw busError(fetcher.trouble ?? new Error('no answer'), 'the bus could not be read');
        }
        const leftMs = elapsedMs < options.waitMs ? options.waitMs - elapsedMs : requestTimeoutMs;
        await fetcher.changed(leftMs, signal);
      }
      return [];
    } finally {
      fetcher.demand(false);
    }
  }

  async close(): Promise<void> {
    this.#closed.abort();
    // Closing the wire ends the long poll that the fetcher's loops wait for.
    await Promise.all([this.#plan.fetcher.close(), this.#plan.wire.close()]);
    this.#plan.onClosed();
  }

  /** Who reads up to a mark must learn that he has reached it, also where no record stands before it. */
  #gaps(): readonly RecordBatch[] {
    return this.#plan.places.flatMap((place) => this.#plan.fetcher.takeGap(place) ?? []);
  }

  /** Begins at another partition each time, so that a busy one does not starve the rest. */
  #take(recordsMax: number): readonly RecordBatch[] {
    const { fetcher, places } = this.#plan;
    const batches: RecordBatch[] = [];
    let left = recordsMax;
    for (let step = 0; step < places.length && left > 0; step += 1) {
      const place = places[(this.#turn + step) % places.length];
      const batch = place === undefined ? undefined : fetcher.take(place, left);
      if (batch === undefined) continue;
      batches.push(batch);
      left -= batch.records.length;
    }
    this.#turn += 1;
    return batches;
  }
}
