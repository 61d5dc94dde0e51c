import { asOffset } from '../../../rails/eb-ref.js';
import type { BusRecord, Offset, RecordBatch, TopicPartition } from '../bus.port.js';
import type { LaidPart } from './laying.js';

/** What a process keeps at the most: some seconds of a busy log. Values are shared with whoever appended and reads them. */
const BYTES_MAX = 16_000_000;
/** What a record costs beside its bytes, roughly. */
const RECORD_BYTES = 300;

/** Consecutive records of a partition, oldest first. */
interface Kept {
  records: BusRecord[];
  bytes: number;
}

/**
 * The end of the log as this process has seen it: what it appended itself, and what it read behind that. Committed records never change, and
 * offsets of a partition become visible in their order; so whoever stands at a place that is kept here reads on without asking the
 * database. Whoever stands elsewhere is answered by the database, which alone knows what others have appended.
 */
export class LogTail {
  readonly #kept = new Map<string, Kept>();
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax = BYTES_MAX) {
    this.#bytesMax = bytesMax;
  }

  /** Records of this process's own append, after its commit. */
  appended(part: LaidPart): void {
    const { firstOffset, appendedAtMs, records } = part;
    this.add(
      part,
      records.map(({ key, headers, value }, index) => ({
        offset: asOffset(firstOffset + index),
        appendedAtMs,
        key,
        headers,
        value,
      })),
    );
  }

  /** Consecutive committed records. Those that do not go on where the kept ones end replace them when they are younger. */
  add({ topic, partition }: TopicPartition, records: readonly BusRecord[]): void {
    const [first] = records;
    if (first === undefined) return;
    const name = `${topic}/${partition}`;
    let kept = this.#kept.get(name);
    const end = endOf(kept);
    // Older ones, which the answer of another connection has overtaken: they stand in the database.
    if (end !== undefined && first.offset < end) return;
    if (kept === undefined || first.offset !== end) {
      this.#bytes -= kept?.bytes ?? 0;
      kept = { records: [], bytes: 0 };
      this.#kept.set(name, kept);
    }
    let bytes = 0;
    for (const record of records) {
      kept.records.push(record);
      bytes += record.value.byteLength + RECORD_BYTES;
    }
    kept.bytes += bytes;
    this.#bytes += bytes;
    while (this.#bytes > this.#bytesMax) this.#forgetHalf();
  }

  /** From this offset on; undefined when the record at it is not kept. `bytesMax` is passed by one record at the most. */
  batch(place: TopicPartition, offset: Offset, recordsMax: number, bytesMax: number): RecordBatch | undefined {
    const { topic, partition } = place;
    const kept = this.#kept.get(`${topic}/${partition}`);
    const first = kept?.records[0]?.offset;
    const end = endOf(kept);
    if (kept === undefined || first === undefined || end === undefined || offset < first || offset >= end)
      return undefined;
    const start = offset - first;
    let bytes = 0;
    let at = start;
    for (; at < kept.records.length && at - start < recordsMax && bytes < bytesMax; at += 1)
      bytes += kept.records[at]?.value.byteLength ?? 0;
    const records = kept.records.slice(start, at);
    return { topic, partition, records, nextOffset: asOffset(offset + records.length), highWater: end };
  }

  /** What was trimmed can no longer be read. */
  forget({ topic, partition }: TopicPartition): void {
    const name = `${topic}/${partition}`;
    this.#bytes -= this.#kept.get(name)?.bytes ?? 0;
    this.#kept.delete(name);
  }

  /** The older half of each partition: cutting one record for each that comes would move all the others every time. */
  #forgetHalf(): void {
    for (const kept of this.#kept.values()) {
      const gone = kept.records.splice(0, Math.ceil(kept.records.length / 2));
      for (const { value } of gone) kept.bytes -= value.byteLength + RECORD_BYTES;
    }
    this.#bytes = [...this.#kept.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }
}

/** The offset behind the last one. */
function endOf(kept: Kept | undefined): Offset | undefined {
  const last = kept?.records.at(-1);
  return last === undefined ? undefined : asOffset(last.offset + 1);
}
