import type { Brand } from '../../rails/brand.js';
import type { Offset, TopicName } from '../../rails/eb-ref.js';
import type { ProbityError } from '../../rails/errors/probity-error.js';
import type { Transaction } from '../database/database.port.js';
import type { Health } from '../health.js';

/**
 * The event bus: topics cut into partitions, each an append-only log. The words mean what they mean on Kafka, on every
 * adapter: offsets rise within a partition and **may have gaps**, delivery is at least once, order holds per
 * partition. Only committed records are ever seen. Nothing may count records by subtracting offsets.
 */
export type { Offset, TopicName };
export type GroupName = Brand<string, 'GroupName'>;

export interface TopicSpec {
  readonly topic: TopicName;
  readonly partitions: number;
  /** Largest value + key + headers of one record, in bytes. */
  readonly recordBytesMax: number;
  /** How long records are kept; null keeps them for ever. */
  readonly retentionMs: number | null;
}

export interface TopicPartition {
  readonly topic: TopicName;
  readonly partition: number;
}

export interface OutgoingRecord {
  /** What the partition was chosen by, kept with the record; the adapter does not choose partitions. */
  readonly key: string | null;
  readonly value: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
}

export interface BusRecord extends OutgoingRecord {
  readonly offset: Offset;
  /** The bus's own clock at the append. Domain time stands in the envelope, never here. */
  readonly appendedAtMs: number;
}

export interface PartitionAppend extends TopicPartition {
  readonly records: readonly OutgoingRecord[];
}

/** Where a partition's part of an append stands: consecutive offsets from `firstOffset`, in the order given. */
export interface Appended extends TopicPartition {
  readonly firstOffset: Offset;
  readonly count: number;
}

export interface ProducerOptions {
  /** Who writes. A producer opened later under the same name fences this one, in whatever process it runs. */
  readonly name: string;
}

/**
 * A named writer. One `append` is one atomic, durable batch over all partitions that it names: it resolves when every
 * record is committed; readers see all of it or nothing.
 *
 * Errors: BUS_RECORD_TOO_LARGE, BUS_TOPIC_UNKNOWN, BUS_UNAVAILABLE: nothing was appended. BUS_PRODUCER_FENCED:
 * nothing was appended and nothing ever will be through this producer. BUS_APPEND_UNKNOWN: the answer was lost; this
 * producer is finished; a new one of the same name settles the fate of the batch, and reading then tells it.
 * BUS_PRODUCER_CLOSED: the producer was finished before this call. VALUE_INVALID: an entry without records.
 *
 * Calls may overlap; the producer sends them one after the other, in order, and may coalesce what waits.
 */
export interface BusProducer {
  readonly name: string;
  append(batch: readonly PartitionAppend[]): Promise<readonly Appended[]>;
  close(): Promise<void>;
}

export interface PartitionMarks extends TopicPartition {
  /** Oldest offset that can still be read; equals highWater when the partition is empty. */
  readonly lowWater: Offset;
  /** The offset that the next committed record will have at the least. */
  readonly highWater: Offset;
}

/** What is read of one partition. `nextOffset` is where to go on; it may lie past the last record (gaps). */
export interface RecordBatch extends TopicPartition {
  readonly records: readonly BusRecord[];
  readonly nextOffset: Offset;
  readonly highWater: Offset;
}

/** Offsets to begin at, one per partition. */
export interface Position extends TopicPartition {
  readonly offset: Offset;
}

/**
 * Reads chosen partitions from chosen offsets, without a group: replay, tailing, reconciliation. Never skips:
 * BUS_OUT_OF_RETENTION and BUS_POSITION_BEYOND_LOG say so instead.
 */
export interface BusReader {
  /**
   * Up to `recordsMax` records of whichever partitions have some, at most one batch per partition; waits up to
   * `waitMs` for the first. Empty after that, save for partitions whose position moved over a gap meanwhile: a batch
   * without records says so, for whoever reads up to a mark. One that waits when the reader is closed ends with nothing; one that
   * begins afterwards is refused, or whoever reads up to a mark would ask for ever.
   * @throws BUS_UNAVAILABLE
   */
  poll(options: { readonly recordsMax: number; readonly waitMs: number }): Promise<readonly RecordBatch[]>;
  close(): Promise<void>;
}

/** How a handler learns that its partition was taken away while it worked. */
export interface BatchControl {
  /** Aborts when the partition is revoked, lost, or the consumer stops; what is not committed yet must be given up. */
  readonly signal: AbortSignal;
  /** Tells the group that a long batch is still alive. */
  heartbeat(): Promise<void>;
}

/** What a unit's store answers about the offsets that it committed together with its state (law R5). */
export interface PositionStore {
  positions(partitions: readonly TopicPartition[]): Promise<readonly Position[]>;
  /** See `ConsumerOptions.wakesOn`. */
  wakesOn?(record: OutgoingRecord, topic: TopicName): boolean;
  /** Whether a record is work for the unit: of what is none its position need not be noted. Left out: every record is. */
  needs?(record: OutgoingRecord, topic: TopicName): boolean;
  /**
   * What is stored, for whoever only wants to know: of a unit whose memory is ahead of it, or that takes being asked for its positions for an
   * assignment. Left out: its positions.
   */
  restartsAt?(partitions: readonly TopicPartition[]): Promise<readonly Position[]>;
}

/** A place on the log that somebody will read from, beside what its group consumes. */
export interface LogHold extends Position {
  /** The work that wants it, for people: `dataset 3f1c…`. */
  readonly why: string;
}

/** What a unit's store answers about work under way that reads the log by itself. */
export interface LogHolder {
  holds(): Promise<readonly LogHold[]>;
}

export interface ConsumerOptions {
  readonly group: GroupName;
  readonly topics: readonly TopicName[];
  /**
   * Where to begin each assigned partition: the consumer's own store (law R5), asked at each assignment and again after
   * each failed batch. The group's own idea of offsets is never used. A partition that the store does not name begins
   * at `startWhenUnknown`.
   */
  readonly positions: PositionStore['positions'];
  readonly startWhenUnknown: 'low-water' | 'high-water';
  readonly batchRecordsMax: number;
  /**
   * What the member wants at once, where the bus can tell. Of other records it learns with the next one that it wants, or some hundred
   * milliseconds later: it changes when a record is delivered, never whether or in which order. Left out: all.
   */
  readonly wakesOn?: (record: OutgoingRecord, topic: TopicName) => boolean;
  /**
   * One batch of one partition in order; the next of this partition comes after it resolves. Different partitions may be
   * handled side by side. When it rejects, the batch is delivered again after a back-off, from the store's position.
   */
  readonly onBatch: (batch: RecordBatch, control: BatchControl) => Promise<void>;
  /** Awaited before the first batch of these partitions. */
  readonly onAssigned?: (partitions: readonly TopicPartition[]) => Promise<void>;
  /**
   * Awaited, after the batches in flight have ended, before another member may get these partitions.
   * `lost` means that the group has given them away already: write nothing any more.
   */
  readonly onRevoked?: (partitions: readonly TopicPartition[], how: 'released' | 'lost') => Promise<void>;
  /** How long the group waits for a silent member before it gives its partitions away. */
  readonly sessionTimeoutMs?: number;
}

export interface PartitionStatus extends TopicPartition {
  readonly nextOffset: Offset;
  readonly highWater: Offset;
  /** highWater − nextOffset: an upper bound of the records still to come, since offsets may have gaps. */
  readonly lagOffsets: number;
  /** Set while the partition stands still: BUS_OUT_OF_RETENTION and its like stay until an operator acts. */
  readonly halted?: ProbityError;
}

/** A member of a group. Within a group every partition has at most one member at a time. */
export interface BusConsumer {
  /** Resolves when the member has joined and knows its (possibly empty) assignment. */
  start(): Promise<void>;
  /** Ends the batches in flight, hands the partitions back, leaves the group. */
  stop(): Promise<void>;
  status(): Promise<readonly PartitionStatus[]>;
}

/** The optional ability of a bus whose log lives in the same database as the state. */
export interface TransactionalAppend {
  /**
   * Appends as part of the caller's transaction: log and state commit together or not at all. Call it once per
   * transaction, with all partitions; appenders of one partition wait for each other until commit.
   * @throws VALUE_INVALID on a second call in the same transaction: it could deadlock with another appender
   */
  appendWithin(transaction: Transaction, batch: readonly PartitionAppend[]): Promise<readonly Appended[]>;
  /** The same for a unit whose whole batch is one statement. Nothing has happened until that statement runs; not for an empty batch. */
  prepareAppend(batch: readonly PartitionAppend[]): Promise<PreparedAppend>;
}

/** An append as a part of a statement of the unit's own. */
export interface PreparedAppend {
  /** A query that appends and gives one `AppendRow`; to be run once, under a name from which the rest of the statement reads. */
  readonly call: { readonly text: string; readonly values: readonly unknown[] };
  /** After the statement has committed, with the row of the call: tells the readers. @throws BUS_APPEND_UNKNOWN without that row */
  readonly appended: (rows: readonly AppendRow[]) => readonly Appended[];
}

export interface AppendRow {
  /** One for each entry of the batch, in their order. */
  readonly first_offsets: readonly number[];
  /** The bus's own clock at the append. */
  readonly appended_at_ms: number;
}

export abstract class Bus {
  /** `embedded` or `kafka`: for people and metrics; no unit decides by it. */
  abstract readonly kind: string;
  /** Present where log and database are one. */
  abstract readonly transactional?: TransactionalAppend;

  /** Makes the topics that are missing. @throws BUS_TOPIC_MISMATCH where one stands with other settings */
  abstract ensureTopics(specs: readonly TopicSpec[]): Promise<void>;
  abstract partitionsOf(topic: TopicName): Promise<number>;
  abstract marks(topic: TopicName): Promise<readonly PartitionMarks[]>;
  /**
   * Of each partition the first offset whose record was appended at this time or later, by the bus's own clock; the high-water mark where there
   * is none. Nothing that was appended since lies below it.
   */
  abstract offsetsAt(topic: TopicName, appendedAtMs: number): Promise<readonly Position[]>;
  /** Retention by hand: records below `before` can no longer be read. */
  abstract trim(position: Position): Promise<void>;

  abstract openProducer(options: ProducerOptions): Promise<BusProducer>;
  abstract openReader(positions: readonly Position[]): Promise<BusReader>;
  abstract openConsumer(options: ConsumerOptions): BusConsumer;

  abstract health(): Promise<Health>;
  abstract close(): Promise<void>;
}
