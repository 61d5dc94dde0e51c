import { ProbityError } from '../../../rails/errors/probity-error.js';
import { type Clock } from '../../clock/clock.port.js';
import { type Position, type TopicName, type TopicSpec } from '../bus.port.js';
import { BATCH_ROOM_BYTES } from './kafka.log.core.js';
import { committedMarks } from './kafka.marks.js';
import { busError, persist } from './kafka.persist.js';
import { isRefusal, WireError } from './kafka.protocol.js';
import { type KafkaWire, TOPIC_CONFIG } from './kafka.wire.js';

/** What a topic is, as every process reads it back from the broker. */
export interface TopicFacts {
  readonly partitions: number;
  readonly recordBytesMax: number;
  readonly batchBytesMax: number;
  readonly retentionMs: number | null;
  /** Whether records carry the broker's own time: with the writer's time, retention would go by what events claim. */
  readonly brokerTime: boolean;
}

export interface TopicsPlan {
  readonly wire: KafkaWire;
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** Copies of each partition; absent: as the cluster is set. */
  readonly replicationFactor?: number;
}

const CONFIGS = ['message.timestamp.type', 'retention.ms', 'max.message.bytes', 'cleanup.policy'] as const;

/** Topics: made, described, trimmed. What was once read of a topic is kept, since its settings never change silently. */
export class KafkaTopics {
  readonly #plan: TopicsPlan;
  readonly #known = new Map<string, TopicFacts>();

  constructor(plan: TopicsPlan) {
    this.#plan = plan;
  }

  known(topic: string): TopicFacts | undefined {
    return this.#known.get(topic);
  }

  /** @throws BUS_TOPIC_UNKNOWN, BUS_UNAVAILABLE */
  async facts(topic: TopicName): Promise<TopicFacts> {
    const known = this.#known.get(topic);
    if (known !== undefined) return known;
    const [facts] = await this.#read([topic]);
    if (facts === undefined) throw new ProbityError('BUS_TOPIC_UNKNOWN', `the topic ${topic} does not exist`);
    this.#known.set(topic, facts);
    return facts;
  }

  /** @throws BUS_TOPIC_MISMATCH, BUS_UNAVAILABLE */
  async ensure(specs: readonly TopicSpec[]): Promise<void> {
    if (specs.length === 0) return;
    try {
      const standing = new Set(await this.#persist(() => this.#plan.wire.admin((admin) => admin.listTopics())));
      const missing = specs.filter(({ topic }) => !standing.has(topic));
      if (missing.length > 0) await this.#make(missing);
    } catch (error) {
      throw busError(error, 'topics could not be made');
    }
    const found = await this.#read(specs.map(({ topic }) => topic));
    for (const [index, spec] of specs.entries()) {
      const facts = found[index];
      if (facts === undefined) throw new ProbityError('BUS_UNAVAILABLE', `the topic ${spec.topic} is not there yet`);
      assertSame(spec, facts);
      this.#known.set(spec.topic, facts);
    }
  }

  async trim({ topic, partition, offset }: Position): Promise<void> {
    const { partitions } = await this.facts(topic);
    assertPartition(topic, partition, partitions);
    try {
      const mark = (await committedMarks(this.#plan, topic)).find((one) => one.partition === partition);
      if (mark === undefined || offset > mark.highWater) {
        throw new ProbityError('BUS_POSITION_BEYOND_LOG', `${topic}/${partition} ends at ${mark?.highWater ?? 0}`);
      }
      if (offset <= mark.lowWater) return;
      await this.#persist(() =>
        this.#plan.wire.admin(async (admin) => {
          // The client trims only where it has seen the topic's leaders.
          await admin.fetchTopicMetadata({ topics: [topic] });
          await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(offset) }] });
        }),
      );
    } catch (error) {
      throw busError(error, `${topic}/${partition} could not be trimmed`);
    }
  }

  async #make(missing: readonly TopicSpec[]): Promise<void> {
    const topics = missing.map((spec) => ({
      topic: spec.topic,
      numPartitions: spec.partitions,
      replicationFactor: this.#plan.replicationFactor ?? -1,
      configEntries: [
        { name: 'message.timestamp.type', value: 'LogAppendTime' },
        { name: 'retention.ms', value: String(spec.retentionMs ?? -1) },
        { name: 'max.message.bytes', value: String(spec.recordBytesMax + BATCH_ROOM_BYTES) },
        { name: 'cleanup.policy', value: 'delete' },
      ],
    }));
    try {
      // Its own wait for leaders fails where a leader takes longer than one look; `#read` waits instead.
      await this.#persist(() =>
        this.#plan.wire.admin((admin) => admin.createTopics({ topics, waitForLeaders: false })),
      );
    } catch (error) {
      // Another process was faster; whether it made the same topic is checked by the caller.
      if (!isRefusal(error, 'TOPIC_ALREADY_EXISTS')) throw error;
    }
    // Several at once of which some exist: the client reports the failure of those, and the others were made.
    await this.#waitForLeaders(missing);
  }

  async #waitForLeaders(specs: readonly TopicSpec[]): Promise<void> {
    const { wire, clock, timeoutMs } = this.#plan;
    const deadlineMs = clock.monotonicMs() + timeoutMs;
    for (const { topic, partitions } of specs) {
      await persist({ wire, clock, deadlineMs, also: ['UNKNOWN_TOPIC_OR_PARTITION'] }, async () => {
        const leaders = await wire.leaders(topic);
        const led = [...leaders.values()].filter((node) => node >= 0).length;
        if (led > 0 && led === leaders.size) return;
        throw new WireError('refused', 'LEADER_NOT_AVAILABLE', `${topic} has ${led} of ${partitions} leaders`);
      });
    }
  }

  /** The facts of each topic, in order; undefined where it does not exist. */
  async #read(topics: readonly TopicName[]): Promise<readonly (TopicFacts | undefined)[]> {
    const { wire } = this.#plan;
    try {
      const partitions = await Promise.all(topics.map((topic) => this.#partitionsOf(topic)));
      const standing = topics.filter((_, index) => partitions[index] !== undefined);
      if (standing.length === 0) return topics.map(() => undefined);
      const { resources } = await this.#persist(() =>
        wire.admin((admin) =>
          admin.describeConfigs({
            includeSynonyms: false,
            resources: standing.map((name) => ({ type: TOPIC_CONFIG, name, configNames: [...CONFIGS] })),
          }),
        ),
      );
      const configs = new Map(
        resources.map(({ resourceName, configEntries }) => [
          resourceName,
          new Map(configEntries.map(({ configName, configValue }) => [configName, configValue])),
        ]),
      );
      return topics.map((topic, index) => {
        const count = partitions[index];
        const config = configs.get(topic);
        return count === undefined || config === undefined ? undefined : factsOf(count, config);
      });
    } catch (error) {
      throw busError(error, 'topics could not be read');
    }
  }

  async #partitionsOf(topic: TopicName): Promise<number | undefined> {
    try {
      return (await this.#persist(() => this.#plan.wire.leaders(topic))).size;
    } catch (error) {
      if (isRefusal(error, 'UNKNOWN_TOPIC_OR_PARTITION', 'INVALID_TOPIC_EXCEPTION')) return undefined;
      throw error;
    }
  }

  #persist<Result>(work: () => Promise<Result>): Promise<Result> {
    const { wire, clock, timeoutMs } = this.#plan;
    return persist({ wire, clock, deadlineMs: clock.monotonicMs() + timeoutMs }, work);
  }
}

function factsOf(partitions: number, config: ReadonlyMap<string, string | null>): TopicFacts {
  const batchBytesMax = Number(config.get('max.message.bytes'));
  const retentionMs = Number(config.get('retention.ms'));
  return {
    partitions,
    batchBytesMax,
    recordBytesMax: batchBytesMax - BATCH_ROOM_BYTES,
    retentionMs: retentionMs < 0 ? null : retentionMs,
    brokerTime: config.get('message.timestamp.type') === 'LogAppendTime' && config.get('cleanup.policy') === 'delete',
  };
}

function assertSame(spec: TopicSpec, facts: TopicFacts): void {
  const differences = [
    ['partitions', spec.partitions, facts.partitions],
    ['retentionMs', spec.retentionMs, facts.retentionMs],
    ['recordBytesMax', spec.recordBytesMax, facts.recordBytesMax],
    ['LogAppendTime and cleanup.policy=delete', true, facts.brokerTime],
  ].flatMap(([name, wanted, found]) =>
    wanted === found ? [] : [`${String(name)} is ${String(found)} instead of ${String(wanted)}`],
  );
  if (differences.length > 0) {
    throw new ProbityError('BUS_TOPIC_MISMATCH', `the topic ${spec.topic} differs: ${differences.join('; ')}`);
  }
}

/** @throws BUS_TOPIC_UNKNOWN when the topic has no such partition */
export function assertPartition(topic: string, partition: number, partitions: number): void {
  if (Number.isInteger(partition) && partition >= 0 && partition < partitions) return;
  throw new ProbityError(
    'BUS_TOPIC_UNKNOWN',
    `the topic ${topic} has partitions 0 to ${partitions - 1}, not ${partition}`,
  );
}
