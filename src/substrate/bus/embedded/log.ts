import { ProbityError } from '../../../rails/errors/probity-error.js';
import { type Database } from '../../database/database.port.js';
import { asOffset } from '../../../rails/eb-ref.js';
import {
  type BusRecord,
  type PartitionMarks,
  type Position,
  type RecordBatch,
  type TopicPartition,
} from '../bus.port.js';
import { repeatableFault } from './faults.js';
import { type LogTail } from './tail.js';
import { type TopicCatalog } from './topics.js';

/** What a fetch found of one partition: its marks, and the records from the wanted position on, if there are any. */
export interface Fetched extends Position {
  readonly marks: Pick<PartitionMarks, 'lowWater' | 'highWater'>;
  readonly batch: RecordBatch | undefined;
  /** From the tail that the process keeps: the log may go on behind its high-water mark. */
  readonly atHand: boolean;
}

export interface FetchLimits {
  readonly partitionRecordsMax: number;
  readonly recordsMax: number;
}

/** A batch ends at the record that passes this: large records must not multiply the memory of a batch. */
const BATCH_BYTES_MAX = 4_000_000;

interface FetchedRow {
  readonly number: number;
  readonly low_water: number;
  readonly next_offset: number;
  readonly record_offset: number | null;
  readonly appended_at_ms: number;
  /** As `asText` says it. */
  readonly key: string | null;
  readonly headers: string | null;
  readonly value: string;
}

/**
 * A column of bytes as text: `l` and a character for each byte, or `h` and hexadecimal for bytes with a zero in them, which no text of the server
 * holds. The driver reads bytes as hexadecimal always and makes three copies of them; this is half as long and one copy.
 */
function asText(column: string): string {
  return `case when position('\\x00'::bytea in ${column}) = 0 then 'l' || convert_from(${column}, 'LATIN1') else 'h' || encode(${column}, 'hex') end`;
}

function bytesOf(text: string): Buffer {
  return Buffer.from(text.slice(1), text.startsWith('l') ? 'latin1' : 'hex');
}

/**
 * All wanted partitions in one statement, hence in one snapshot: marks and records agree, so a trim beside it cannot make
 * records vanish between a look at the low-water mark and the read. The records to take are shared out in the order of the
 * list. A position below the low-water mark reads nothing; the caller sees it in the marks.
 */
export const FETCH = {
  name: 'bus_fetch',
  text: `
    with wanted as (
      select w.number, w.start, p.topic_id, p.partition, p.low_water, p.next_offset,
        case when w.start < p.low_water then 0 else greatest(0, least(p.next_offset - w.start, $4::int8)) end as there
      from unnest($1::int[], $2::int[], $3::int8[]) with ordinality as w (topic_id, partition, start, number)
      join partitions as p on p.topic_id = w.topic_id and p.partition = w.partition
    ), shared as (
      select *, greatest(0, least(there, $5::int8 - (sum(there) over (order by number) - there))) as take from wanted
    )
    select s.number, s.low_water, s.next_offset, r.record_offset, r.appended_at_ms,
      ${asText('r.key')} as key, ${asText('r.headers')} as headers, ${asText('r.value')} as value
    from shared as s left join lateral (
      select * from (
        select f.*, sum(octet_length(f.value)) over (order by f.record_offset) - octet_length(f.value) as bytes_before
        from (
          select * from records as r
          where r.topic_id = s.topic_id and r.partition = s.partition and r.record_offset >= s.start
          order by r.record_offset limit s.take
        ) as f
      ) as bounded where bounded.bytes_before < $6::int8
    ) as r on true`,
  readOnly: true,
} as const;

const MARKS = {
  name: 'bus_marks',
  text: `
    select p.topic_id, p.partition, p.low_water, p.next_offset
    from partitions as p
    where (p.topic_id, p.partition) in (select * from unnest($1::int[], $2::int[]))
    order by p.topic_id, p.partition`,
  readOnly: true,
} as const;

const FIRST_SINCE = {
  name: 'bus_first_since',
  text: `
    select w.number::int as number, r.record_offset
    from unnest($1::int[], $2::int[], $3::int8[]) with ordinality as w (topic_id, partition, low_water, number)
    left join lateral (
      select f.record_offset from records as f
      where f.topic_id = w.topic_id and f.partition = w.partition and f.record_offset >= w.low_water
        and f.appended_at_ms >= $4::int8
      order by f.record_offset limit 1
    ) as r on true`,
  readOnly: true,
} as const;

/** Reading the log. */
export class LogReader {
  readonly #database: Database;
  readonly #topics: TopicCatalog;
  readonly #tail: LogTail;
  readonly #open = new Map<string, Shared>();

  constructor(database: Database, topics: TopicCatalog, tail: LogTail) {
    this.#database = database;
    this.#topics = topics;
    this.#tail = tail;
  }

  /** What is young stands behind what is old, so each partition is read from its oldest record to the first that is young enough, and no further. */
  async offsetsAt(marks: readonly PartitionMarks[], appendedAtMs: number): Promise<readonly Position[]> {
    const topics = await this.#topics.findPlaces(marks);
    try {
      const { rows } = await this.#database.query<{ readonly number: number; readonly record_offset: number | null }>(
        FIRST_SINCE,
        [
          literal(topics.map(({ topicId }) => topicId)),
          literal(marks.map(({ partition }) => partition)),
          literal(marks.map(({ lowWater }) => lowWater)),
          appendedAtMs,
        ],
      );
      const found = new Map(rows.map(({ number, record_offset }) => [number, record_offset]));
      return marks.map(({ topic, partition, highWater }, index) => {
        const offset = found.get(index + 1) ?? null;
        // What was appended since the marks were read lies at or behind the end that they say.
        return { topic, partition, offset: offset === null ? highWater : asOffset(Math.min(offset, highWater)) };
      });
    } catch (fault) {
      throw repeatableFault(fault, 'the log could not be searched by time');
    }
  }

  async marks(places: readonly TopicPartition[]): Promise<readonly PartitionMarks[]> {
    const topics = await this.#topics.findPlaces(places);
    try {
      const { rows } = await this.#database.query<{
        readonly topic_id: number;
        readonly partition: number;
        readonly low_water: number;
        readonly next_offset: number;
      }>(MARKS, [literal(topics.map(({ topicId }) => topicId)), literal(places.map(({ partition }) => partition))]);
      return rows.flatMap((row) => {
        const topic = this.#topics.byId(row.topic_id)?.topic;
        if (topic === undefined) return [];
        return [
          {
            topic,
            partition: row.partition,
            lowWater: asOffset(row.low_water),
            highWater: asOffset(row.next_offset),
          },
        ];
      });
    } catch (fault) {
      throw repeatableFault(fault, 'the marks could not be read');
    }
  }

  /** One answer for each position, in their order: from the tail that this process keeps, or else from the database. */
  async fetch(positions: readonly Position[], limits: FetchLimits): Promise<readonly Fetched[]> {
    let left = limits.recordsMax;
    const found = positions.map((position): Fetched | undefined => {
      const recordsMax = Math.min(limits.partitionRecordsMax, left);
      const batch =
        recordsMax === 0 ? undefined : this.#tail.batch(position, position.offset, recordsMax, BATCH_BYTES_MAX);
      if (batch === undefined) return undefined;
      left -= batch.records.length;
      // Of the marks it is known that the position lies between them.
      return { ...position, marks: { lowWater: position.offset, highWater: batch.highWater }, batch, atHand: true };
    });
    const open = positions.filter((_, at) => found[at] === undefined);
    if (open.length === 0) return found as readonly Fetched[];
    const read = await this.#read(open, { ...limits, recordsMax: left });
    let next = 0;
    return found.map((one, at) => {
      if (one !== undefined) return one;
      const fetched = read[next];
      next += 1;
      if (fetched === undefined) throw new ProbityError('INTERNAL', `nothing was read of place ${at}`);
      return fetched;
    });
  }

  /**
   * Readers of one process that stand at the same positions, as all do that have caught up, share one question: whoever asks within one turn
   * of the event loop is answered by the same statement, which begins after all of them have asked.
   */
  async #read(positions: readonly Position[], limits: FetchLimits): Promise<readonly Fetched[]> {
    const key = positions.map(({ topic, partition, offset }) => `${topic}/${partition}/${offset}`).join(' ');
    const open = this.#open.get(key) ?? this.#ask(key, positions, limits);
    open.limits = widest(open.limits, limits);
    return (await open.answer).map(cutTo(limits));
  }

  #ask(key: string, positions: readonly Position[], limits: FetchLimits): Shared {
    const answer = new Promise((resolve) => setImmediate(resolve)).then(() => {
      this.#open.delete(key);
      return this.#fetch(positions, shared.limits);
    });
    const shared: Shared = { limits, answer };
    this.#open.set(key, shared);
    return shared;
  }

  async #fetch(positions: readonly Position[], limits: FetchLimits): Promise<readonly Fetched[]> {
    const topics = await this.#topics.findPlaces(positions);
    try {
      const { rows } = await this.#database.query<FetchedRow>(FETCH, [
        literal(topics.map(({ topicId }) => topicId)),
        literal(positions.map(({ partition }) => partition)),
        literal(positions.map(({ offset }) => offset)),
        limits.partitionRecordsMax,
        limits.recordsMax,
        BATCH_BYTES_MAX,
      ]);
      const found = gather(positions, rows);
      // What others appended: the next reader of this process that is as far has it at hand. Of old records it would be a burden.
      for (const { batch } of found)
        if (batch !== undefined && batch.nextOffset >= batch.highWater) this.#tail.add(batch, batch.records);
      return found;
    } catch (fault) {
      throw repeatableFault(fault, 'the log could not be read');
    }
  }
}

/** A question that was not sent yet. */
interface Shared {
  limits: FetchLimits;
  readonly answer: Promise<readonly Fetched[]>;
}

function widest(a: FetchLimits, b: FetchLimits): FetchLimits {
  return {
    partitionRecordsMax: Math.max(a.partitionRecordsMax, b.partitionRecordsMax),
    recordsMax: Math.max(a.recordsMax, b.recordsMax),
  };
}

/** As the statement shares records out: in the order of the positions, so many of each and of all. */
function cutTo({ partitionRecordsMax, recordsMax }: FetchLimits): (fetched: Fetched) => Fetched {
  let left = recordsMax;
  return (fetched) => {
    const { batch } = fetched;
    if (batch === undefined) return fetched;
    const count = Math.min(batch.records.length, partitionRecordsMax, left);
    left -= count;
    if (count === batch.records.length) return fetched;
    const records = batch.records.slice(0, count);
    const last = records.at(-1);
    if (last === undefined) return { ...fetched, batch: undefined };
    return { ...fetched, batch: { ...batch, records, nextOffset: asOffset(last.offset + 1) } };
  };
}

function literal(numbers: readonly number[]): string {
  return `{${numbers.join(',')}}`;
}

function gather(positions: readonly Position[], rows: readonly FetchedRow[]): readonly Fetched[] {
  const marks: (Fetched['marks'] | undefined)[] = positions.map(() => undefined);
  const records: BusRecord[][] = positions.map(() => []);
  for (const row of rows) {
    marks[row.number - 1] ??= { lowWater: asOffset(row.low_water), highWater: asOffset(row.next_offset) };
    if (row.record_offset !== null) records[row.number - 1]?.push(recordOf(row, row.record_offset));
  }
  return positions.map((position, index) => {
    const mark = marks[index];
    const found = records[index] ?? [];
    if (mark === undefined)
      throw new ProbityError('BUS_TOPIC_UNKNOWN', `the bus has no ${position.topic}/${position.partition}`);
    assertRising(position, found);
    const last = found.at(-1);
    if (last === undefined) return { ...position, marks: mark, batch: undefined, atHand: false };
    const { topic, partition } = position;
    const batch = {
      topic,
      partition,
      records: found,
      nextOffset: asOffset(last.offset + 1),
      highWater: mark.highWater,
    };
    return { ...position, marks: mark, batch, atHand: false };
  });
}

/** Order is the bus's promise; a plan of the server that broke it must be found here and not in a unit's state. */
function assertRising(position: Position, records: readonly BusRecord[]): void {
  let least: number = position.offset;
  for (const { offset } of records) {
    if (offset < least)
      throw new ProbityError('INTERNAL', `${position.topic}/${position.partition} was read out of order at ${offset}`);
    least = offset + 1;
  }
}

function recordOf(row: FetchedRow, offset: number): BusRecord {
  return {
    offset: asOffset(offset),
    appendedAtMs: row.appended_at_ms,
    key: row.key === null ? null : bytesOf(row.key).toString('utf8'),
    // What `encodeHeaders` wrote: an object of strings.
    headers: row.headers === null ? {} : (JSON.parse(bytesOf(row.headers).toString('utf8')) as Record<string, string>),
    value: bytesOf(row.value),
  };
}
