import type { Bus, BusReader, BusRecord, Offset, PartitionMarks } from './bus.port.js';

const POLL_RECORDS = 500;
const POLL_WAIT_MS = 5_000;

/** One partition from its oldest record to a mark, record by record: what a re-execution walks along. */
export class LogCursor {
  #buffer: readonly BusRecord[] = [];
  #at = 0;
  #next: Offset;
  #reader: BusReader | undefined;

  constructor(
    private readonly bus: Bus,
    private readonly mark: PartitionMarks,
    /** Of the others nobody wants to hear. */
    private readonly wanted: (record: BusRecord) => boolean,
  ) {
    this.#next = mark.lowWater;
  }

  get partition(): number {
    return this.mark.partition;
  }

  /** The next wanted record without taking it; undefined at the mark. */
  async peek(): Promise<BusRecord | undefined> {
    for (;;) {
      while (this.#at < this.#buffer.length) {
        const record = this.#buffer[this.#at];
        if (record !== undefined && record.offset >= this.mark.highWater) return undefined;
        if (record !== undefined && this.wanted(record)) return record;
        this.#at += 1;
      }
      if (!(await this.#fill())) return undefined;
    }
  }

  async take(): Promise<BusRecord | undefined> {
    const record = await this.peek();
    if (record !== undefined) this.#at += 1;
    return record;
  }

  async close(): Promise<void> {
    await this.#reader?.close();
    this.#reader = undefined;
  }

  async #fill(): Promise<boolean> {
    if (this.#next >= this.mark.highWater) return false;
    const { topic, partition } = this.mark;
    this.#reader ??= await this.bus.openReader([{ topic, partition, offset: this.#next }]);
    const batches = await this.#reader.poll({ recordsMax: POLL_RECORDS, waitMs: POLL_WAIT_MS });
    for (const batch of batches) {
      this.#buffer = batch.records;
      this.#at = 0;
      this.#next = batch.nextOffset;
    }
    return batches.length > 0;
  }
}
