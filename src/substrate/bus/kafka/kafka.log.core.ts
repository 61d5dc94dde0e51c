import { ProbityError } from '../../../rails/errors/probity-error.js';
import { type BusRecord, type Offset, type OutgoingRecord } from '../bus.port.js';
import { type RawPartition, type RawRecord } from './kafka.protocol.js';

/**
 * Kafka's 64-bit offset as a safe number.
 * @throws INTERNAL for anything else: a rounded offset would read or skip the wrong record
 */
export function offsetOf(text: string): Offset {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new ProbityError('INTERNAL', `the bus named an offset that is no safe whole number: ${text}`);
  }
  return value as Offset;
}

export interface CommittedPart {
  readonly records: readonly BusRecord[];
  /** Past everything that the answer covered: control records and aborted records count, too. */
  readonly nextOffset: Offset;
  readonly highWater: Offset;
}

/** The first two bytes of a control record's key are a version, the next two its kind: 0 aborts, 1 commits. */
function isAbortMarker({ isControlRecord, key }: RawRecord): boolean {
  return isControlRecord && key !== null && key.byteLength >= 4 && key.readInt16BE(2) === 0;
}

/**
 * What of a fetched part was committed. The broker sends aborted records along with the list of the transactions that
 * were aborted, and leaves it to the reader to drop them: one forgotten, and a refused batch is acted upon.
 * Only records from `from` on count, since a broker answers with whole batches.
 */
export function committedPart(raw: RawPartition, from: Offset): CommittedPart {
  const aborted = (raw.abortedTransactions ?? [])
    .map(({ producerId, firstOffset }) => ({ producerId, firstOffset: offsetOf(firstOffset) }))
    .sort((one, other) => one.firstOffset - other.firstOffset);
  const open = new Set<string>();
  const records: BusRecord[] = [];
  let begun = 0;
  let nextOffset = from;
  for (const message of raw.messages) {
    const offset = offsetOf(message.offset);
    const { producerId, inTransaction, firstOffset, lastOffsetDelta } = message.batchContext;
    for (let next = aborted[begun]; next !== undefined && next.firstOffset <= offset; next = aborted[begun]) {
      open.add(next.producerId);
      begun += 1;
    }
    const batchEnd = (offsetOf(firstOffset) + lastOffsetDelta + 1) as Offset;
    if (batchEnd > nextOffset) nextOffset = batchEnd;
    if (isAbortMarker(message)) open.delete(producerId);
    if (message.isControlRecord || (inTransaction && open.has(producerId)) || offset < from) continue;
    records.push(busRecord(message, offset));
  }
  return { records, nextOffset, highWater: offsetOf(raw.lastStableOffset) };
}

function busRecord(message: RawRecord, offset: Offset): BusRecord {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(message.headers)) {
    const last = typeof value === 'object' && !Buffer.isBuffer(value) ? value.at(-1) : value;
    if (last !== undefined) headers[name] = typeof last === 'string' ? last : last.toString('utf8');
  }
  return {
    offset,
    key: message.key === null ? null : message.key.toString('utf8'),
    // A record without a value can only come from another program; it is empty to us.
    value: message.value ?? new Uint8Array(0),
    headers,
    appendedAtMs: Number(message.timestamp),
  };
}

/** What a topic's limit counts: value, key and headers, in bytes. */
export function recordBytes({ key, value, headers }: OutgoingRecord): number {
  let bytes = value.byteLength + (key === null ? 0 : Buffer.byteLength(key));
  for (const name in headers) bytes += Buffer.byteLength(name) + Buffer.byteLength(headers[name] ?? '');
  return bytes;
}

/** A batch has 61 bytes of its own; each record up to 28 (five lengths, two deltas, attributes), each header two lengths. */
const BATCH_OVERHEAD_BYTES = 61;
const RECORD_OVERHEAD_BYTES = 28;
const HEADER_OVERHEAD_BYTES = 10;

export function encodedBytesMax(record: OutgoingRecord): number {
  return recordBytes(record) + RECORD_OVERHEAD_BYTES + Object.keys(record.headers).length * HEADER_OVERHEAD_BYTES;
}

/**
 * Kafka limits a batch, not a record (`max.message.bytes`). The topic is made with the record's limit plus this room, so
 * that a batch of small records has space, and the record's limit can be read back from the topic by every process.
 * 4 MiB holds 3,900 records of 1 KB; hosted brokers allow 8 MiB and more.
 */
export const BATCH_ROOM_BYTES = 4 * 1024 * 1024;

/** Cuts a partition's records into batches that the broker takes, in order. */
export function cutIntoBatches(records: readonly OutgoingRecord[], batchBytesMax: number): readonly OutgoingRecord[][] {
  const batches: OutgoingRecord[][] = [];
  let current: OutgoingRecord[] = [];
  let bytes = BATCH_OVERHEAD_BYTES;
  for (const record of records) {
    const size = encodedBytesMax(record);
    if (current.length > 0 && bytes + size > batchBytesMax) {
      batches.push(current);
      current = [];
      bytes = BATCH_OVERHEAD_BYTES;
    }
    current.push(record);
    bytes += size;
  }
  if (current.length > 0) batches.push(current);
  return batches;
}

export interface Place {
  readonly topic: string;
  readonly partition: number;
}
