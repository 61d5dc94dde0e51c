import { type Clock } from '../../clock/clock.port.js';
import { type Logger } from '../../telemetry/telemetry.port.js';
import {
  type BusConsumer,
  type ConsumerOptions,
  type PartitionMarks,
  type PartitionStatus,
  type TopicPartition,
} from '../bus.port.js';
import { backoffMs, beginPartitions, PartitionWorker, type WorkerContext } from '../partition-worker.js';
import { KafkaFetcher, keyOf } from './kafka.fetcher.js';
import { committedMarks } from './kafka.marks.js';
import { KafkaMember, type Session } from './kafka.member.js';
import { type KafkaTopics } from './kafka.topics.js';
import { type Wire } from './kafka.wire.js';

export interface ConsumerPlan {
  readonly options: ConsumerOptions;
  readonly wire: Wire;
  readonly clock: Clock;
  readonly topics: KafkaTopics;
  readonly requestTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly logger?: Logger;
  readonly onClosed: () => void;
}

const SESSION_TIMEOUT_MS = 10_000;

/** A member of a group with its partitions at work: membership, reading ahead and delivery are a part each. */
export class KafkaConsumer implements BusConsumer {
  readonly #plan: ConsumerPlan;
  readonly #member: KafkaMember;
  readonly #fetcher: KafkaFetcher;
  readonly #context: WorkerContext;
  readonly #progress = new Map<string, TopicPartition & { readonly offset: number }>();
  #workers: readonly PartitionWorker[] = [];
  #serving: readonly Promise<void>[] = [];
  /** Whether the unit was told of its partitions, and has to be told of their loss. */
  #told = false;
  #stopped: Promise<void> | undefined;

  constructor(plan: ConsumerPlan) {
    const { options, wire, clock, requestTimeoutMs, rebalanceTimeoutMs, logger } = plan;
    this.#plan = plan;
    this.#fetcher = new KafkaFetcher({
      wire,
      clock,
      requestTimeoutMs,
      // The batch at work and the one after it; more would only hold memory.
      bufferRecordsMax: 2 * options.batchRecordsMax,
      onDefect: (error) => logger?.error('bus_read_failed', { group: options.group, detail: error.detail }),
    });
    this.#context = {
      options,
      clock,
      marksOf: (places) => this.#marksOf(places),
      heartbeat: () => this.#member.heartbeat(),
      onFailure: (event, places, fault) => {
        const detail = fault instanceof Error ? fault.message : String(fault);
        logger?.warn(event, { group: options.group, places: places.map(keyOf).join(' '), detail });
      },
    };
    this.#member = new KafkaMember({
      wire,
      clock,
      group: options.group,
      topics: options.topics,
      sessionTimeoutMs: options.sessionTimeoutMs ?? SESSION_TIMEOUT_MS,
      rebalanceTimeoutMs,
      requestTimeoutMs,
      ...(logger === undefined ? {} : { logger }),
      onTaken: (places, session, begun) => this.#take(places, session, begun),
      onGiven: (session) => this.#give(session),
      progress: () => {
        const moved = [...this.#progress.values()];
        this.#progress.clear();
        return moved;
      },
    });
  }

  /** @throws BUS_TOPIC_UNKNOWN, BUS_UNAVAILABLE */
  async start(): Promise<void> {
    const { options, topics } = this.#plan;
    await Promise.all(options.topics.map((topic) => topics.facts(topic)));
    await this.#member.start();
  }

  stop(): Promise<void> {
    this.#stopped ??= (async () => {
      await this.#member.stop();
      // Closing the wire ends the long poll that the fetcher's loops wait for.
      await Promise.all([this.#fetcher.close(), this.#plan.wire.close()]);
      this.#plan.onClosed();
    })();
    return this.#stopped;
  }

  async status(): Promise<readonly PartitionStatus[]> {
    const workers = this.#workers;
    const marks = await this.#marksOf(workers).catch(() => []);
    const high = new Map(marks.map((mark) => [keyOf(mark), mark.highWater]));
    return workers.flatMap(({ topic, partition, nextOffset, halted }) => {
      if (nextOffset === undefined) return [];
      const place = { topic, partition };
      // While the bus is away: what it last said.
      const highWater = high.get(keyOf(place)) ?? this.#fetcher.standing(place)?.highWater ?? nextOffset;
      const lagOffsets = Math.max(0, highWater - nextOffset);
      return [{ ...place, nextOffset, highWater, lagOffsets, ...(halted === undefined ? {} : { halted }) }];
    });
  }

  async #marksOf(places: readonly TopicPartition[]): Promise<readonly PartitionMarks[]> {
    const { wire, clock, requestTimeoutMs: timeoutMs } = this.#plan;
    const topics = [...new Set(places.map(({ topic }) => topic))];
    const marks = await Promise.all(topics.map((topic) => committedMarks({ wire, clock, timeoutMs }, topic)));
    const wanted = new Set(places.map(keyOf));
    return marks.flat().filter((mark) => wanted.has(keyOf(mark)));
  }

  async #take(places: readonly TopicPartition[], { over }: Session, begun: () => void): Promise<void> {
    const workers = places.map((place) => new PartitionWorker(place, this.#context));
    this.#workers = workers;
    this.#progress.clear();
    if (places.length === 0) {
      begun();
      return;
    }
    const ended = aborting(over, workers);
    if (await this.#announced(places, over)) {
      await beginPartitions(workers, this.#context);
      if (!over.aborted) {
        this.#fetcher.seek(workers.flatMap(positionOf));
        this.#fetcher.demand(true);
        this.#serving = workers.map((worker) => this.#serve(worker));
        begun();
      }
    }
    await ended;
  }

  /** The unit's own preparation, tried until it succeeds: a batch before it would find the unit without its state. */
  async #announced(places: readonly TopicPartition[], over: AbortSignal): Promise<boolean> {
    const { options, clock } = this.#plan;
    for (let failures = 1; !over.aborted; failures += 1) {
      try {
        this.#told = true;
        await options.onAssigned?.(places);
        return true;
      } catch (fault) {
        this.#context.onFailure('bus_positions_failed', places, fault);
        await clock.sleep(backoffMs(failures), over);
      }
    }
    return false;
  }

  /** Delivers what was read ahead of one partition, one batch at a time, until it is taken away or halts. */
  async #serve(worker: PartitionWorker): Promise<void> {
    const { options } = this.#plan;
    const { signal } = worker;
    while (!signal.aborted && worker.halted === undefined) {
      const batch = this.#fetcher.take(worker, options.batchRecordsMax);
      if (batch !== undefined) {
        await worker.deliver(batch);
        // After a failure the store said where to go on: what was read ahead lies past it.
        if (worker.nextOffset !== batch.nextOffset) this.#fetcher.seek(positionOf(worker));
        else
          this.#progress.set(keyOf(worker), {
            topic: worker.topic,
            partition: worker.partition,
            offset: batch.nextOffset,
          });
        continue;
      }
      const failure = this.#fetcher.failure(worker);
      if (failure !== undefined) {
        worker.halt(failure);
        break;
      }
      const standing = this.#fetcher.standing(worker);
      if (standing !== undefined) worker.advance(standing.nextOffset);
      await this.#fetcher.changed(Infinity, signal);
    }
    // A partition that stands still is not read ahead of.
    this.#fetcher.drop([worker]);
  }

  async #give(session: Session): Promise<void> {
    const { options } = this.#plan;
    const workers = this.#workers;
    await Promise.all(workers.map((worker) => worker.end()));
    await Promise.all(this.#serving);
    this.#fetcher.demand(false);
    this.#fetcher.drop(workers);
    this.#serving = [];
    if (this.#told) {
      this.#told = false;
      const places = workers.map(({ topic, partition }) => ({ topic, partition }));
      try {
        // Asked now and not before: the session may have been lost while the batches ended.
        await options.onRevoked?.(places, session.lost ? 'lost' : 'released');
      } catch (fault) {
        this.#context.onFailure('bus_batch_failed', places, fault);
      }
    }
    this.#workers = [];
  }
}

/** Resolves when the signal has aborted and told the workers, so that their handlers know at once. */
function aborting(over: AbortSignal, workers: readonly PartitionWorker[]): Promise<void> {
  return new Promise((resolve) => {
    const tell = () => {
      for (const worker of workers) void worker.end();
      resolve();
    };
    if (over.aborted) tell();
    else over.addEventListener('abort', tell, { once: true });
  });
}

function positionOf({ topic, partition, nextOffset, halted }: PartitionWorker) {
  return nextOffset === undefined || halted !== undefined ? [] : [{ topic, partition, offset: nextOffset }];
}
