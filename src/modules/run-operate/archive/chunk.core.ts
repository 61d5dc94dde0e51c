import { Type } from '@sinclair/typebox';
import { canonicalJson, digestCanonical, type JsonObject } from '../../../rails/canonical-json.js';
import { type Digest, DigestSchema } from '../../../rails/digest.js';
import { type Offset, OffsetSchema, PartitionSchema, type TopicName, TopicNameSchema } from '../../../rails/eb-ref.js';
import { payloadHash } from '../../../rails/envelope.js';
import { readEvent } from '../../../rails/events/read-event.js';
import { type ObjectKey, objectKey, RefSchema } from '../../../rails/ref.js';
import { closed, safeInteger, type Sealed } from '../../../rails/schema.js';
import { type UtcMicros, UtcMicrosSchema } from '../../../rails/time.js';
import { validatorOf } from '../../../rails/validator.js';

/**
 * One chunk of the archive: a stretch of one partition, `first_offset` up to, not including, `next_offset`. Decompressed it is a line of JSON about
 * the chunk, then for each record a line of JSON about it and its very bytes, each followed by a line feed. The bytes are counted, never
 * searched for an end: whatever a record holds comes out as it went in, and `zcat` still shows it to people.
 */
export const CHUNK_FORMAT = 'probity.archive.v1';
export const CHUNK_MEDIA_TYPE = 'application/gzip';

export const ChunkHeadSchema = closed({
  format: Type.Literal(CHUNK_FORMAT),
  topic: TopicNameSchema,
  partition: PartitionSchema,
  first_offset: OffsetSchema,
  next_offset: OffsetSchema,
  records: safeInteger(0, 'records'),
  archived_at_utc: UtcMicrosSchema,
});

const RecordHeadSchema = closed({
  offset: OffsetSchema,
  bytes: safeInteger(0, 'of the record'),
  key: Type.Union([Type.String(), Type.Null()]),
  headers: Type.Record(Type.String(), Type.String()),
  appended_at_ms: Type.Number(),
  /** Of what the event says; null for a record that is no event. */
  payload_hash: Type.Union([DigestSchema, Type.Null()]),
});

/** A row of the index: what a reader needs to fetch a chunk and to know that it is the right one. */
export const ChunkSchema = closed({
  topic: TopicNameSchema,
  partition: PartitionSchema,
  first_offset: OffsetSchema,
  next_offset: OffsetSchema,
  records: safeInteger(0, 'records'),
  bytes: safeInteger(0, 'before compression'),
  content_digest: DigestSchema,
  /** Names this chunk and all before it in its partition. */
  chain: DigestSchema,
  ref: RefSchema,
  archived_at_utc: UtcMicrosSchema,
});
export type Chunk = Sealed<typeof ChunkSchema>;

export interface ArchivedRecord {
  readonly offset: Offset;
  readonly key: string | null;
  readonly headers: Readonly<Record<string, string>>;
  readonly appendedAtMs: number;
  readonly value: Uint8Array;
}

/** A stretch of a partition that is to be one chunk. */
export interface Cut {
  readonly topic: TopicName;
  readonly partition: number;
  readonly firstOffset: Offset;
  readonly nextOffset: Offset;
  readonly cutAt: UtcMicros;
}

const heads = validatorOf(ChunkHeadSchema, 'the head of the chunk');
const recordHeads = validatorOf(RecordHeadSchema, 'the head of the record');
const LINE_FEED = Buffer.from('\n');

/** Offsets with leading zeros: listings of a store then go by offset. */
export function chunkKey({ topic, partition, firstOffset, nextOffset }: Cut): ObjectKey {
  return objectKey(`archive/${topic}/${partition}/${padded(firstOffset)}-${padded(nextOffset - 1)}.log.gz`);
}

function padded(offset: number): string {
  return String(offset).padStart(16, '0');
}

/** The same cut of the same log is the same bytes, whoever writes them and when. */
export function encodeChunk(cut: Cut, records: readonly ArchivedRecord[]): Buffer {
  const head = {
    format: CHUNK_FORMAT,
    topic: cut.topic,
    partition: cut.partition,
    first_offset: cut.firstOffset,
    next_offset: cut.nextOffset,
    records: records.length,
    archived_at_utc: cut.cutAt,
  };
  const parts: Buffer[] = [Buffer.from(`${canonicalJson(head)}\n`)];
  for (const { offset, key, headers, appendedAtMs, value } of records) {
    const about = {
      ...{ offset, key, headers: { ...headers }, appended_at_ms: appendedAtMs },
      ...{ bytes: value.byteLength, payload_hash: hashOf(value) },
    };
    parts.push(Buffer.from(`${canonicalJson(about)}\n`));
    parts.push(Buffer.from(value.buffer, value.byteOffset, value.byteLength), LINE_FEED);
  }
  return Buffer.concat(parts);
}

function hashOf(value: Uint8Array): Digest | null {
  const read = readEvent(value);
  return read.ok ? payloadHash(read.event.envelope) : null;
}

/** What is wrong with a chunk, and from which record on. */
export interface Damage {
  readonly offset: Offset;
  readonly says: string;
}

export type ReadChunk =
  { readonly ok: true; readonly records: readonly ArchivedRecord[] } | { readonly ok: false; readonly damage: Damage };

/** Takes a chunk apart, and compares it with what the index says of it: place, count, order of offsets, each payload's hash. */
export function decodeChunk(chunk: Chunk, bytes: Buffer): ReadChunk {
  const damaged = (offset: Offset, says: string): ReadChunk => ({ ok: false, damage: { offset, says } });
  let at = 0;
  const line = (): unknown => {
    const end = bytes.indexOf(0x0a, at);
    if (end < 0) return undefined;
    const text = bytes.toString('utf8', at, end);
    at = end + 1;
    try {
      return JSON.parse(text);
    } catch {
      return undefined;
    }
  };
  const head = heads.check(line());
  if (!head.ok) return damaged(chunk.first_offset, 'it does not begin as a chunk does');
  for (const name of ['topic', 'partition', 'first_offset', 'next_offset', 'records', 'archived_at_utc'] as const)
    if (head.value[name] !== chunk[name])
      return damaged(chunk.first_offset, `its ${name} is another than the index says`);
  const records: ArchivedRecord[] = [];
  let least: number = chunk.first_offset;
  for (let number = 0; number < chunk.records; number += 1) {
    const found = recordHeads.check(line());
    if (!found.ok) return damaged(least as Offset, 'a record is cut off or not one');
    const { offset, bytes: size, key, headers, appended_at_ms, payload_hash } = found.value;
    if (offset < least || offset >= chunk.next_offset) return damaged(offset, 'an offset stands where it cannot');
    if (at + size >= bytes.length || bytes[at + size] !== 0x0a) return damaged(offset, 'a record is cut off');
    const value = bytes.subarray(at, at + size);
    if (hashOf(value) !== payload_hash) return damaged(offset, 'the payload is not the one that was archived');
    at += size + 1;
    records.push({ offset, key, headers, appendedAtMs: appended_at_ms, value });
    least = offset + 1;
  }
  if (at !== bytes.length) return damaged(least as Offset, 'there is more in it than the index says');
  return { ok: true, records };
}

/** Each link names the one before: a row of the index that was taken out or changed breaks all behind it. */
export function chainOf(before: Digest | null, chunk: Omit<Chunk, 'chain' | 'ref' | 'archived_at_utc'>): Digest {
  const { topic, partition, first_offset, next_offset, records, bytes, content_digest } = chunk;
  const link: JsonObject = { topic, partition, first_offset, next_offset, records, bytes, content_digest };
  return digestCanonical({ recipe: 'ops.archive.chain.v1', before, ...link });
}
