import { ProbityError } from '../../../rails/errors/probity-error.js';
import { type Database } from '../../database/database.port.js';
import { asTopicName } from '../../../rails/eb-ref.js';
import { type TopicName, type TopicPartition, type TopicSpec } from '../bus.port.js';
import { busFault } from './faults.js';

/** A topic as it stands in the database. */
export interface Topic extends TopicSpec {
  readonly topicId: number;
}

interface TopicRow {
  readonly topic_id: number;
  readonly name: string;
  readonly partitions: number;
  readonly record_bytes_max: number;
  readonly retention_ms: number | null;
}

const SELECT = {
  name: 'bus_topics',
  text: 'select topic_id, name, partitions, record_bytes_max, retention_ms from topics where name = any($1)',
  readOnly: true,
} as const;

const MAKE = {
  name: 'bus_make_topics',
  text: 'select make_topics($1, $2, $3, $4)',
} as const;

/** The largest value a column of Postgres holds is 1 GB, and a record of a tenth of it is already a misuse. */
const RECORD_BYTES_LIMIT = 100_000_000;
const PARTITIONS_LIMIT = 1_000;

/**
 * The topics that this process has met. A topic never changes once it stands (a mismatch is refused, nothing is
 * deleted), so what was read once is true for ever.
 */
export class TopicCatalog {
  readonly #database: Database;
  readonly #byName = new Map<TopicName, Topic>();
  readonly #byId = new Map<number, Topic>();

  constructor(database: Database) {
    this.#database = database;
  }

  async ensure(specs: readonly TopicSpec[]): Promise<void> {
    specs.forEach(assertSpec);
    if (specs.length === 0) return;
    const names = specs.map(({ topic }) => topic);
    try {
      await this.#database.transaction(async (transaction) => {
        await transaction.query(MAKE, [
          names,
          specs.map(({ partitions }) => partitions),
          specs.map(({ recordBytesMax }) => recordBytesMax),
          specs.map(({ retentionMs }) => retentionMs),
        ]);
        const { rows } = await transaction.query<TopicRow>(SELECT, [names]);
        const standing = new Map(rows.map((row) => [row.name, topicOf(row)]));
        // A mismatch rolls back what this call has made: a half-made set of topics would hide the mistake.
        for (const spec of specs) assertSame(spec, standing.get(spec.topic));
      });
    } catch (fault) {
      throw busFault(fault, 'the topics could not be made');
    }
  }

  /** @throws BUS_TOPIC_UNKNOWN naming the first that does not exist */
  async find(names: readonly TopicName[]): Promise<readonly Topic[]> {
    const missing = [...new Set(names.filter((name) => !this.#byName.has(name)))];
    if (missing.length > 0) await this.#load(missing);
    return names.map((name) => {
      const topic = this.#byName.get(name);
      if (topic === undefined) throw new ProbityError('BUS_TOPIC_UNKNOWN', `the bus has no topic ${name}`);
      return topic;
    });
  }

  /** The topics of these partitions. @throws BUS_TOPIC_UNKNOWN for a topic or a partition that does not exist */
  async findPlaces(places: readonly TopicPartition[]): Promise<readonly Topic[]> {
    const topics = await this.find(places.map(({ topic }) => topic));
    topics.forEach((topic, index) => {
      const partition = places[index]?.partition ?? -1;
      if (!Number.isInteger(partition) || partition < 0 || partition >= topic.partitions)
        throw new ProbityError(
          'BUS_TOPIC_UNKNOWN',
          `topic ${topic.topic} has the partitions 0 to ${topic.partitions - 1}, and not ${partition}`,
        );
    });
    return topics;
  }

  idOf(topic: TopicName): number | undefined {
    return this.#byName.get(topic)?.topicId;
  }

  /** A topic that was found before. */
  byId(topicId: number): Topic | undefined {
    return this.#byId.get(topicId);
  }

  async #load(names: readonly TopicName[]): Promise<void> {
    try {
      const { rows } = await this.#database.query<TopicRow>(SELECT, [names]);
      for (const topic of rows.map(topicOf)) {
        this.#byName.set(topic.topic, topic);
        this.#byId.set(topic.topicId, topic);
      }
    } catch (fault) {
      throw busFault(fault, 'the topics could not be read');
    }
  }
}

function topicOf(row: TopicRow): Topic {
  return {
    topicId: row.topic_id,
    topic: asTopicName(row.name),
    partitions: row.partitions,
    recordBytesMax: row.record_bytes_max,
    retentionMs: row.retention_ms,
  };
}

function assertSpec(spec: TopicSpec): void {
  asTopicName(spec.topic);
  const within = (value: number, max: number) => Number.isSafeInteger(value) && value >= 1 && value <= max;
  const fault = (what: string) => new ProbityError('VALUE_INVALID', `topic ${spec.topic}: ${what}`);
  if (!within(spec.partitions, PARTITIONS_LIMIT)) throw fault(`partitions are 1 to ${PARTITIONS_LIMIT}`);
  if (!within(spec.recordBytesMax, RECORD_BYTES_LIMIT)) throw fault(`recordBytesMax is 1 to ${RECORD_BYTES_LIMIT}`);
  if (spec.retentionMs !== null && !within(spec.retentionMs, Number.MAX_SAFE_INTEGER))
    throw fault('retentionMs is null or a whole number of milliseconds from 1 on');
}

function assertSame(wanted: TopicSpec, standing: Topic | undefined): void {
  if (standing === undefined) throw new ProbityError('BUS_UNAVAILABLE', `topic ${wanted.topic} was not made`);
  const different = (['partitions', 'recordBytesMax', 'retentionMs'] as const).filter(
    (setting) => standing[setting] !== wanted[setting],
  );
  if (different.length > 0)
    throw new ProbityError(
      'BUS_TOPIC_MISMATCH',
      `topic ${wanted.topic} stands with ${different
        .map((setting) => `${setting} ${standing[setting] ?? 'unlimited'} instead of ${wanted[setting] ?? 'unlimited'}`)
        .join(', ')}`,
    );
}
