import { type Clock } from '../clock/clock.port.js';
import { type Health } from '../health.js';
import { type Logger, type Telemetry } from '../telemetry/telemetry.port.js';
import {
  Bus,
  type BusConsumer,
  type BusProducer,
  type BusReader,
  type ConsumerOptions,
  type PartitionMarks,
  type Position,
  type ProducerOptions,
  type TopicName,
  type TopicSpec,
} from './bus.port.js';
import { KafkaConsumer } from './kafka/kafka.consumer.js';
import { KafkaFetcher } from './kafka/kafka.fetcher.js';
import { committedMarks, firstSince } from './kafka/kafka.marks.js';
import { bounded, busError } from './kafka/kafka.persist.js';
import { KafkaProducer } from './kafka/kafka.producer.js';
import { KafkaReader } from './kafka/kafka.reader.js';
import { assertPartition, KafkaTopics } from './kafka/kafka.topics.js';
import { type KafkaConnection, KafkaWire } from './kafka/kafka.wire.js';

export interface KafkaBusOptions {
  /** `host:port` of at least one broker. */
  readonly brokers: readonly string[];
  /** Names this process to the brokers. */
  readonly clientId: string;
  readonly tls?: boolean | { readonly ca?: string; readonly cert?: string; readonly key?: string };
  readonly sasl?: NonNullable<KafkaConnection['sasl']>;
  /** Copies of each partition of topics made here; without it, what the cluster is set to. */
  readonly replicationFactor?: number;
  readonly clock: Clock;
  readonly telemetry?: Telemetry;
  /** After this a request counts as unanswered; 10 s by default. */
  readonly requestTimeoutMs?: number;
  readonly connectionTimeoutMs?: number;
  /** How long an append tries through an outage before it fails; 15 s by default, longer than a broker's restart. */
  readonly appendTimeoutMs?: number;
  /** How long a group waits for a member's last batch; 60 s by default. */
  readonly rebalanceTimeoutMs?: number;
  readonly dial?: NonNullable<KafkaConnection['dial']>;
}

const CONNECTION_TIMEOUT_MS = 3_000;
const REQUEST_TIMEOUT_MS = 10_000;
const APPEND_TIMEOUT_MS = 15_000;
const REBALANCE_TIMEOUT_MS = 60_000;
/** How many records of a partition a reader holds ready between two polls. */
const READ_AHEAD_RECORDS = 2_000;

/**
 * The bus on Apache Kafka (or whatever speaks its protocol with transactions). See `kafka/` for its parts: `wire` (one
 * request at a time, the only file that knows the client library), `producer` on two `lane`s and a crown, `fetcher`
 * under `reader` and `consumer`, `member` for the group, `topics` and `marks`.
 */
export class KafkaBus extends Bus {
  readonly kind = 'kafka';
  /** Log and state are two systems here: who appends notes a mark first and reconciles from it. */
  readonly transactional?: never;
  readonly #options: KafkaBusOptions;
  readonly #connection: KafkaConnection;
  readonly #logger: Logger | undefined;
  readonly #wire: KafkaWire;
  readonly #topics: KafkaTopics;
  readonly #requestTimeoutMs: number;
  readonly #children = new Set<() => Promise<void>>();

  private constructor(options: KafkaBusOptions) {
    super();
    const { brokers, clientId, tls, sasl, dial, clock, replicationFactor } = options;
    this.#options = options;
    this.#logger = options.telemetry?.forComponent('bus.kafka').logger;
    this.#requestTimeoutMs = options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS;
    this.#connection = {
      brokers,
      clientId,
      requestTimeoutMs: this.#requestTimeoutMs,
      connectionTimeoutMs: options.connectionTimeoutMs ?? CONNECTION_TIMEOUT_MS,
      ...(tls === undefined ? {} : { ssl: tls }),
      ...(sasl === undefined ? {} : { sasl }),
      ...(dial === undefined ? {} : { dial }),
      ...(this.#logger === undefined ? {} : { logger: this.#logger }),
    };
    this.#wire = new KafkaWire(this.#connection, 'control');
    this.#topics = new KafkaTopics({
      wire: this.#wire,
      clock,
      timeoutMs: this.#requestTimeoutMs,
      ...(replicationFactor === undefined ? {} : { replicationFactor }),
    });
  }

  /** Connects when it is first used: a bus that is away shows in `health()` and in what is asked of it. */
  static open(options: KafkaBusOptions): Promise<KafkaBus> {
    return Promise.resolve(new KafkaBus(options));
  }

  async ensureTopics(specs: readonly TopicSpec[]): Promise<void> {
    await this.#topics.ensure(specs);
  }

  async partitionsOf(topic: TopicName): Promise<number> {
    return (await this.#topics.facts(topic)).partitions;
  }

  async marks(topic: TopicName): Promise<readonly PartitionMarks[]> {
    await this.#topics.facts(topic);
    try {
      const { clock } = this.#options;
      return await committedMarks({ wire: this.#wire, clock, timeoutMs: this.#requestTimeoutMs }, topic);
    } catch (error) {
      throw busError(error, `the marks of ${topic} could not be read`);
    }
  }

  async offsetsAt(topic: TopicName, appendedAtMs: number): Promise<readonly Position[]> {
    await this.#topics.facts(topic);
    try {
      const { clock } = this.#options;
      return await firstSince({ wire: this.#wire, clock, timeoutMs: this.#requestTimeoutMs }, topic, appendedAtMs);
    } catch (error) {
      throw busError(error, `${topic} could not be searched by time`);
    }
  }

  async trim(position: Position): Promise<void> {
    await this.#topics.trim(position);
  }

  async openProducer({ name }: ProducerOptions): Promise<BusProducer> {
    const producer = await KafkaProducer.open({
      name,
      onClosed: () => this.#children.delete(close),
      wire: new KafkaWire(this.#connection, `producer.${name}`),
      clock: this.#options.clock,
      topics: this.#topics,
      requestTimeoutMs: this.#requestTimeoutMs,
      appendTimeoutMs: this.#options.appendTimeoutMs ?? APPEND_TIMEOUT_MS,
    });
    const close = () => producer.close();
    this.#children.add(close);
    return producer;
  }

  async openReader(positions: readonly Position[]): Promise<BusReader> {
    for (const { topic, partition } of positions) {
      assertPartition(topic, partition, (await this.#topics.facts(topic)).partitions);
    }
    const { clock } = this.#options;
    const wire = new KafkaWire(this.#connection, 'reader');
    const fetcher = new KafkaFetcher({
      wire,
      clock,
      requestTimeoutMs: this.#requestTimeoutMs,
      bufferRecordsMax: READ_AHEAD_RECORDS,
      onDefect: (error) => this.#logger?.error('bus_read_failed', { detail: error.detail }),
    });
    fetcher.seek(positions);
    const places = positions.map(({ topic, partition }) => ({ topic, partition }));
    const reader = new KafkaReader({
      wire,
      clock,
      fetcher,
      places,
      requestTimeoutMs: this.#requestTimeoutMs,
      onClosed: () => this.#children.delete(close),
    });
    const close = () => reader.close();
    this.#children.add(close);
    return reader;
  }

  openConsumer(options: ConsumerOptions): BusConsumer {
    const consumer = new KafkaConsumer({
      options,
      onClosed: () => this.#children.delete(close),
      wire: new KafkaWire(this.#connection, `consumer.${options.group}`),
      clock: this.#options.clock,
      topics: this.#topics,
      requestTimeoutMs: this.#requestTimeoutMs,
      rebalanceTimeoutMs: this.#options.rebalanceTimeoutMs ?? REBALANCE_TIMEOUT_MS,
      ...(this.#logger === undefined ? {} : { logger: this.#logger }),
    });
    const close = () => consumer.stop();
    this.#children.add(close);
    return consumer;
  }

  async health(): Promise<Health> {
    const { clock } = this.#options;
    const startMs = clock.monotonicMs();
    const cluster = `the Kafka cluster behind ${this.#options.brokers.join(', ')}`;
    try {
      // The client library tries several times; a health check has one patience for all of it.
      const answered = await bounded(
        clock,
        this.#requestTimeoutMs,
        this.#wire.refresh().then(() => true),
      );
      if (answered === undefined) throw new Error(`no answer within ${this.#requestTimeoutMs} ms`);
      return { ok: true, detail: `${cluster} answers`, tookMs: clock.monotonicMs() - startMs };
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return { ok: false, detail: `${cluster} does not answer: ${reason}`, tookMs: clock.monotonicMs() - startMs };
    }
  }

  /** Closes what was opened through it as well. */
  async close(): Promise<void> {
    await Promise.allSettled([...this.#children].map((close) => close()));
    await this.#wire.close();
  }
}
