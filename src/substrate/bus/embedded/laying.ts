import { ProbityError } from '../../../rails/errors/probity-error.js';
import { type Queryable } from '../../database/database.port.js';
import { asOffset } from '../../../rails/eb-ref.js';
import {
  type Appended,
  type AppendRow,
  type Offset,
  type OutgoingRecord,
  type PartitionAppend,
  type TopicPartition,
} from '../bus.port.js';
import { type Topic, type TopicCatalog } from './topics.js';

/** An append that has passed every check and knows its topics. */
export interface CheckedAppend {
  readonly parts: readonly CheckedPart[];
  readonly recordCount: number;
  readonly bytes: number;
}

interface CheckedPart extends PartitionAppend {
  readonly topicId: number;
  readonly records: readonly OutgoingRecord[];
}

/**
 * Checks a batch before anything is sent, so that a refused one touches neither the log nor the caller's transaction.
 * @throws VALUE_INVALID, BUS_TOPIC_UNKNOWN, BUS_RECORD_TOO_LARGE
 */
export async function checkAppend(topics: TopicCatalog, batch: readonly PartitionAppend[]): Promise<CheckedAppend> {
  if (batch.some(({ records }) => records.length === 0))
    throw new ProbityError('VALUE_INVALID', 'an entry of an append has at least one record');
  const found = await topics.findPlaces(batch);
  let [recordCount, bytes] = [0, 0];
  const parts = batch.map((entry, index): CheckedPart => {
    // `findPlaces` answers one topic for each entry, or throws.
    const topic = found[index] as Topic;
    for (const record of entry.records) bytes += checkedBytes(record, topic);
    recordCount += entry.records.length;
    return { ...entry, topicId: topic.topicId };
  });
  return { parts, recordCount, bytes };
}

function checkedBytes(record: OutgoingRecord, topic: Topic): number {
  let bytes = record.value.byteLength + (record.key === null ? 0 : Buffer.byteLength(record.key));
  for (const name in record.headers) bytes += Buffer.byteLength(name) + Buffer.byteLength(record.headers[name] ?? '');
  if (bytes > topic.recordBytesMax)
    throw new ProbityError(
      'BUS_RECORD_TOO_LARGE',
      `a record of ${bytes} bytes, and topic ${topic.topic} takes ${topic.recordBytesMax}`,
      { data: { topic: topic.topic, bytes, recordBytesMax: topic.recordBytesMax } },
    );
  return bytes;
}

/** By whom: a producer with its epoch, or a unit's own transaction. */
export type Writer = { readonly name: string; readonly epoch: number } | 'transaction';

const APPEND = {
  name: 'bus_append',
  text: 'select * from bus.append($1, $2, $3::int[], $4::int[], $5::int[], $6::int[], $7::int[], $8::int[], $9::int[], $10::int[], $11)',
} as const;

const APPEND_WITHIN = {
  name: 'bus_append_within',
  text: 'select * from bus.append_within($1::int[], $2::int[], $3::int[], $4::int[], $5::int[], $6::int[], $7::int[], $8::int[], $9)',
} as const;

/** Records as they stand in the log. */
export interface LaidPart extends TopicPartition {
  readonly topicId: number;
  readonly firstOffset: Offset;
  readonly appendedAtMs: number;
  readonly records: readonly OutgoingRecord[];
}

/** An append on its way: what is sent, and how its answer is read. */
interface Sent {
  readonly values: readonly unknown[];
  /** @throws BUS_APPEND_UNKNOWN when the answer is short of a place: function and program disagree, the append stands, and its place is not known */
  readonly laid: (rows: readonly AppendRow[]) => readonly (readonly LaidPart[])[];
}

/** Sends checked appends as one statement, which outside a transaction is one commit and one round trip. Answers the parts of each. */
export async function layDown(
  connection: Queryable,
  writer: Writer,
  appends: readonly CheckedAppend[],
): Promise<readonly (readonly LaidPart[])[]> {
  const { values, laid } = sending(appends);
  const { rows } = await (writer === 'transaction'
    ? connection.query<AppendRow>(APPEND_WITHIN, values)
    : connection.query<AppendRow>(APPEND, [writer.name, writer.epoch, ...values]));
  return laid(rows);
}

/** The same as a query in a statement of somebody else's. */
export function callOf(append: CheckedAppend): {
  readonly text: string;
  readonly values: readonly unknown[];
  readonly laid: (rows: readonly AppendRow[]) => readonly LaidPart[];
} {
  const { values, laid } = sending([append]);
  return { text: APPEND_WITHIN.text, values, laid: (rows) => laid(rows)[0] ?? [] };
}

export function appendedOf(parts: readonly LaidPart[]): readonly Appended[] {
  return parts.map(({ topic, partition, firstOffset, records }) => ({
    topic,
    partition,
    firstOffset,
    count: records.length,
  }));
}

/**
 * The arguments of `bus.lay_down`. All bytes travel in one binary parameter and are cut on the server: an array of byte
 * strings would travel as text, in hexadecimal, at twice the size. The integers are written as array literals at once;
 * the driver's own way quotes each.
 */
function sending(appends: readonly CheckedAppend[]): Sent {
  const parts = appends.flatMap((append) => append.parts);
  const recordParts: number[] = [];
  const starts: number[] = [];
  const keyBytes: number[] = [];
  const headerBytes: number[] = [];
  const valueBytes: number[] = [];
  const pieces: Uint8Array[] = [];
  let size = 0;
  const put = (piece: Uint8Array): number => {
    if (piece.byteLength > 0) pieces.push(piece);
    size += piece.byteLength;
    return piece.byteLength;
  };
  const valueStarts: number[] = [];
  parts.forEach(({ records }, index) => {
    for (const { key, headers, value } of records) {
      recordParts.push(index + 1);
      starts.push(size);
      keyBytes.push(key === null ? -1 : put(Buffer.from(key)));
      headerBytes.push(put(encodeHeaders(headers)));
      valueStarts.push(size);
      valueBytes.push(put(value));
    }
  });
  const literal = (numbers: readonly number[]) => `{${numbers.join(',')}}`;
  const payload = Buffer.concat(pieces, size);
  const values = [
    literal(parts.map(({ topicId }) => topicId)),
    literal(parts.map(({ partition }) => partition)),
    literal(parts.map(({ records }) => records.length)),
    ...[recordParts, starts, keyBytes, headerBytes, valueBytes].map(literal),
    payload,
  ];
  const laid = (rows: readonly AppendRow[]): readonly (readonly LaidPart[])[] => {
    const { first_offsets = [], appended_at_ms: appendedAtMs = 0 } = rows[0] ?? {};
    let [part, record] = [0, 0];
    return appends.map((append) =>
      append.parts.map(({ topic, partition, topicId, records }): LaidPart => {
        const firstOffset = first_offsets[part];
        part += 1;
        if (firstOffset === undefined)
          throw new ProbityError('BUS_APPEND_UNKNOWN', 'the log did not say where the append stands');
        // Values out of what was sent: the caller's own arrays are the caller's to use again.
        const own = records.map(({ key, headers }): OutgoingRecord => {
          const start = valueStarts[record] ?? 0;
          const value = payload.subarray(start, start + (valueBytes[record] ?? 0));
          record += 1;
          return { key, headers: { ...headers }, value };
        });
        return { topic, partition, topicId, firstOffset: asOffset(firstOffset), appendedAtMs, records: own };
      }),
    );
  };
  return { values, laid };
}

const NO_BYTES = new Uint8Array(0);

function encodeHeaders(headers: Readonly<Record<string, string>>): Uint8Array {
  for (const _ in headers) return Buffer.from(JSON.stringify(headers));
  return NO_BYTES;
}
