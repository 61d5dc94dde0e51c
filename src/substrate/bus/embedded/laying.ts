import { ProbityError } from '../../../rails/errors/probity-error.js';
import { type Queryable } from '../../database/database.port.js';
import { asOffset } from '../../../rails/eb-ref.js';
import { type Appended, type OutgoingRecord, type PartitionAppend } from '../bus.port.js';
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
  text: 'select bus.append($1, $2, $3::int[], $4::int[], $5::int[], $6::int[], $7::int[], $8::int[], $9::int[], $10::int[], $11) as first_offsets',
} as const;

const APPEND_WITHIN = {
  name: 'bus_append_within',
  text: 'select bus.append_within($1::int[], $2::int[], $3::int[], $4::int[], $5::int[], $6::int[], $7::int[], $8::int[], $9) as first_offsets',
} as const;

/**
 * Sends checked appends as one statement, which outside a transaction is one commit and one round trip. Answers for each
 * append where its parts stand.
 */
export async function layDown(
  connection: Queryable,
  writer: Writer,
  appends: readonly CheckedAppend[],
): Promise<readonly (readonly Appended[])[]> {
  const values = wireValues(appends);
  const { rows } = await (writer === 'transaction'
    ? connection.query<{ first_offsets: readonly number[] }>(APPEND_WITHIN, values)
    : connection.query<{ first_offsets: readonly number[] }>(APPEND, [writer.name, writer.epoch, ...values]));
  const firstOffsets = rows[0]?.first_offsets ?? [];
  let next = 0;
  return appends.map(({ parts }) =>
    parts.map(({ topic, partition, records }) => {
      const firstOffset = firstOffsets[next];
      next += 1;
      // An answer short of a place means that the function and this program disagree: the append stands, its place is not known.
      if (firstOffset === undefined)
        throw new ProbityError('BUS_APPEND_UNKNOWN', 'the log did not say where the append stands');
      return { topic, partition, firstOffset: asOffset(firstOffset), count: records.length };
    }),
  );
}

/**
 * The arguments of `bus.lay_down`. All bytes travel in one binary parameter and are cut on the server: an array of byte
 * strings would travel as text, in hexadecimal, at twice the size. The integers are written as array literals at once;
 * the driver's own way quotes each.
 */
function wireValues(appends: readonly CheckedAppend[]): unknown[] {
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
  parts.forEach(({ records }, index) => {
    for (const { key, headers, value } of records) {
      recordParts.push(index + 1);
      starts.push(size);
      keyBytes.push(key === null ? -1 : put(Buffer.from(key)));
      headerBytes.push(put(encodeHeaders(headers)));
      valueBytes.push(put(value));
    }
  });
  const literal = (numbers: readonly number[]) => `{${numbers.join(',')}}`;
  return [
    literal(parts.map(({ topicId }) => topicId)),
    literal(parts.map(({ partition }) => partition)),
    literal(parts.map(({ records }) => records.length)),
    ...[recordParts, starts, keyBytes, headerBytes, valueBytes].map(literal),
    Buffer.concat(pieces, size),
  ];
}

const NO_BYTES = new Uint8Array(0);

function encodeHeaders(headers: Readonly<Record<string, string>>): Uint8Array {
  for (const _ in headers) return Buffer.from(JSON.stringify(headers));
  return NO_BYTES;
}
