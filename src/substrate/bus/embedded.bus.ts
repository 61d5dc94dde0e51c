import { ProbityError } from '../../rails/errors/probity-error.js';
import { type Clock } from '../clock/clock.port.js';
import { type Database, type Transaction } from '../database/database.port.js';
import { type Health } from '../health.js';
import { type Logger, type Telemetry } from '../telemetry/telemetry.port.js';
import {
  type Appended,
  Bus,
  type BusConsumer,
  type BusProducer,
  type BusReader,
  type ConsumerOptions,
  type PartitionAppend,
  type PartitionMarks,
  type Position,
  type PreparedAppend,
  type ProducerOptions,
  type TopicName,
  type TopicSpec,
  type TransactionalAppend,
} from './bus.port.js';
import { asGroupName } from './bus.names.js';
import { EmbeddedConsumer } from './embedded/consumer.js';
import { repeatableFault } from './embedded/faults.js';
import { appendedOf, callOf, checkAppend, type LaidPart, layDown } from './embedded/laying.js';
import { LogReader } from './embedded/log.js';
import { EmbeddedProducer } from './embedded/producer.js';
import { EmbeddedReader } from './embedded/reader.js';
import { Retention } from './embedded/retention.js';
import { Signals } from './embedded/signals.js';
import { LogTail } from './embedded/tail.js';
import { TopicCatalog } from './embedded/topics.js';

export interface EmbeddedBusOptions {
  /** The door of the schema `bus`, migrated by `migrations/bus`. */
  readonly database: Database;
  readonly clock: Clock;
  readonly telemetry?: Pick<Telemetry, 'logger'>;
}

const COUNT_TOPICS = { text: 'select count(*) as topics from topics', readOnly: true } as const;

/**
 * The bus as a log in the platform's own Postgres. What it is for: log and state can commit together
 * (`transactional`), and nothing but the database has to run. It serves as many processes as share the database.
 */
export class EmbeddedBus extends Bus {
  readonly kind = 'embedded';
  readonly transactional: TransactionalAppend;
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #logger: Logger | undefined;
  readonly #topics: TopicCatalog;
  readonly #tail = new LogTail();
  readonly #log: LogReader;
  readonly #signals: Signals;
  readonly #retention: Retention;
  readonly #open = new Set<BusProducer | BusReader>();
  readonly #consumers = new Set<BusConsumer>();
  #closing: Promise<void> | undefined;

  private constructor({ database, clock, telemetry }: EmbeddedBusOptions) {
    super();
    const logger = telemetry?.logger;
    this.#database = database;
    this.#clock = clock;
    this.#logger = logger;
    this.#topics = new TopicCatalog(database);
    this.#log = new LogReader(database, this.#topics, this.#tail);
    this.#signals = new Signals(database, clock);
    this.#retention = new Retention(database, clock, logger);
    this.transactional = new AppendWithin(this.#topics, (parts) => this.#appended(parts));
  }

  /** Looks once whether the log is there. @throws BUS_UNAVAILABLE */
  static async open(options: EmbeddedBusOptions): Promise<EmbeddedBus> {
    const bus = new EmbeddedBus(options);
    try {
      await options.database.query(COUNT_TOPICS);
    } catch (fault) {
      throw repeatableFault(fault, 'the log in the database cannot be opened');
    }
    bus.#retention.start();
    return bus;
  }

  async ensureTopics(specs: readonly TopicSpec[]): Promise<void> {
    this.#assertOpen();
    await this.#topics.ensure(specs);
  }

  async partitionsOf(topic: TopicName): Promise<number> {
    this.#assertOpen();
    const [found] = await this.#topics.find([topic]);
    return found?.partitions ?? 0;
  }

  async marks(topic: TopicName): Promise<readonly PartitionMarks[]> {
    const partitions = await this.partitionsOf(topic);
    return await this.#log.marks(Array.from({ length: partitions }, (_, partition) => ({ topic, partition })));
  }

  async offsetsAt(topic: TopicName, appendedAtMs: number): Promise<readonly Position[]> {
    return await this.#log.offsetsAt(await this.marks(topic), appendedAtMs);
  }

  async trim(position: Position): Promise<void> {
    this.#assertOpen();
    const [topic] = await this.#topics.findPlaces([position]);
    try {
      await this.#database.query('select trim_partition($1, $2, $3)', [
        topic?.topicId,
        position.partition,
        position.offset,
      ]);
    } catch (fault) {
      throw repeatableFault(fault, `${position.topic}/${position.partition} could not be trimmed`);
    }
    this.#tail.forget(position);
  }

  async openProducer({ name }: ProducerOptions): Promise<BusProducer> {
    this.#assertOpen();
    const producer = await EmbeddedProducer.open(name, {
      database: this.#database,
      topics: this.#topics,
      onAppended: (parts) => this.#appended(parts),
      onClosed: (closed) => this.#open.delete(closed),
    });
    this.#open.add(producer);
    return producer;
  }

  async openReader(positions: readonly Position[]): Promise<BusReader> {
    this.#assertOpen();
    const reader = await EmbeddedReader.open(
      {
        log: this.#log,
        topics: this.#topics,
        signals: this.#signals,
        clock: this.#clock,
        onClosed: (closed) => this.#open.delete(closed),
      },
      positions,
    );
    this.#open.add(reader);
    return reader;
  }

  openConsumer(options: ConsumerOptions): BusConsumer {
    this.#assertOpen();
    asGroupName(options.group);
    const consumer = new EmbeddedConsumer(
      {
        database: this.#database,
        topics: this.#topics,
        log: this.#log,
        signals: this.#signals,
        clock: this.#clock,
        logger: this.#logger,
        onStopped: (stopped) => this.#consumers.delete(stopped),
      },
      options,
    );
    this.#consumers.add(consumer);
    return consumer;
  }

  async health(): Promise<Health> {
    const startedMs = this.#clock.monotonicMs();
    const answer = await this.#database
      .query<{ topics: number }>(COUNT_TOPICS)
      .then(({ rows }) => ({
        ok: true,
        detail: `the log in the database answered; it has ${rows[0]?.topics ?? 0} topics`,
      }))
      .catch((fault: unknown) => ({
        ok: false,
        detail: fault instanceof ProbityError ? fault.message : 'the log in the database did not answer',
      }));
    return { ...answer, tookMs: this.#clock.monotonicMs() - startedMs };
  }

  /** Stops what is still open, consumers first; leaves the database to its owner. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#consumers].map((consumer) => consumer.stop()));
    await Promise.all([...this.#open].map((open) => open.close()));
    await Promise.all([this.#signals.close(), this.#retention.close()]);
  }

  /** After the commit: the readers of this process are given the records, those of others are told that there are some. */
  #appended(parts: readonly LaidPart[]): void {
    for (const part of parts) this.#tail.appended(part);
    this.#signals.appended(parts);
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw new ProbityError('BUS_UNAVAILABLE', 'the bus has been closed');
  }
}

class AppendWithin implements TransactionalAppend {
  readonly #topics: TopicCatalog;
  readonly #onAppended: (parts: readonly LaidPart[]) => void;
  readonly #used = new WeakSet<Transaction>();

  constructor(topics: TopicCatalog, onAppended: (parts: readonly LaidPart[]) => void) {
    this.#topics = topics;
    this.#onAppended = onAppended;
  }

  async appendWithin(transaction: Transaction, batch: readonly PartitionAppend[]): Promise<readonly Appended[]> {
    if (batch.length === 0) return [];
    const append = await checkAppend(this.#topics, batch);
    // Two appends of one transaction may lock partitions in an order that another's two do not: a deadlock.
    if (this.#used.has(transaction))
      throw new ProbityError('VALUE_INVALID', 'a transaction appends once: give it all partitions in one call');
    this.#used.add(transaction);
    const [parts = []] = await layDown(transaction, 'transaction', [append]);
    transaction.afterCommit(() => this.#onAppended(parts));
    return appendedOf(parts);
  }

  async prepareAppend(batch: readonly PartitionAppend[]): Promise<PreparedAppend> {
    const { laid, ...call } = callOf(await checkAppend(this.#topics, batch));
    return {
      call,
      appended: (rows) => {
        const parts = laid(rows);
        this.#onAppended(parts);
        return appendedOf(parts);
      },
    };
  }
}
