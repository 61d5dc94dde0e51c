import type { Bus, BusReader, BusRecord, Offset, PartitionMarks, RecordBatch } from './bus.port.js';

const POLL_RECORDS = 1_000;
const POLL_WAIT_MS = 5_000;
/** Of one cursor; some tens of megabytes of events. */
const HELD_MAX = 40_000;

/**
 * One partition from its oldest record to a mark, read once for all who walk along it. Each has a cursor of its own over the records that it wants, and
 * whoever comes to the end of what was read has more read for all. What a cursor wants and has not taken yet is held for it, up to a bound: one
 * that falls further behind leaves, and reads on by itself from there. The next batch is fetched while this one is worked on.
 */
export class LogTap {
  #cursors: LogCursor[] = [];
  /** Of cursors that fell behind. */
  readonly #left: LogTap[] = [];
  #next: Offset;
  #reader: BusReader | undefined;
  #ahead: Promise<readonly RecordBatch[]> | undefined;
  #filling: Promise<boolean> | undefined;

  constructor(
    private readonly bus: Bus,
    private readonly mark: PartitionMarks,
    private readonly heldMax = HELD_MAX,
  ) {
    this.#next = mark.lowWater;
  }

  get partition(): number {
    return this.mark.partition;
  }

  /** Open all before the first is read from: a later one would begin where the others have got. */
  cursor(wanted: (record: BusRecord) => boolean): LogCursor {
    const cursor = new LogCursor(this.partition, wanted);
    this.#adopt(cursor);
    return cursor;
  }

  #adopt(cursor: LogCursor): void {
    this.#cursors.push(cursor);
    cursor.more = () => this.#fill();
  }

  /** A cursor that would hold too much goes on alone, from the batch that comes next. */
  #letGo(cursor: LogCursor): void {
    const alone = new LogTap(this.bus, { ...this.mark, lowWater: this.#next }, Infinity);
    alone.#adopt(cursor);
    this.#left.push(alone);
    this.#cursors = this.#cursors.filter((each) => each !== cursor);
  }

  async close(): Promise<void> {
    await Promise.all(this.#left.map((tap) => tap.close()));
    await this.#ahead?.catch(() => undefined);
    await this.#reader?.close();
    this.#reader = undefined;
  }

  /** One batch more for everybody; who asks meanwhile waits for the same. @returns false at the mark */
  async #fill(): Promise<boolean> {
    this.#filling ??= this.#read().finally(() => {
      this.#filling = undefined;
    });
    return await this.#filling;
  }

  async #read(): Promise<boolean> {
    const { topic, partition, highWater } = this.mark;
    if (this.#next >= highWater) return false;
    this.#reader ??= await this.bus.openReader([{ topic, partition, offset: this.#next }]);
    const reader = this.#reader;
    const polled = this.#ahead ?? poll(reader);
    // Gone before it is waited for: what fails is asked for anew by whoever comes next.
    this.#ahead = undefined;
    const batches = await polled;
    for (const { records, nextOffset } of batches) {
      const below = records.filter(({ offset }) => offset < highWater);
      for (const cursor of this.#cursors)
        if (cursor.held > this.heldMax) this.#letGo(cursor);
        else cursor.give(below);
      this.#next = nextOffset;
    }
    if (batches.length > 0 && this.#next < highWater) {
      this.#ahead = poll(reader);
      // Whoever waits for it next is told; nobody may.
      this.#ahead.catch(() => undefined);
    }
    return batches.length > 0;
  }
}

function poll(reader: BusReader): Promise<readonly RecordBatch[]> {
  return reader.poll({ recordsMax: POLL_RECORDS, waitMs: POLL_WAIT_MS });
}

/** The records that one walk wants, one after the other. */
export class LogCursor {
  #held: BusRecord[] = [];
  #at = 0;

  constructor(
    readonly partition: number,
    private readonly wanted: (record: BusRecord) => boolean,
  ) {}

  /** Has its tap read on. @returns false at the mark */
  more: () => Promise<boolean> = () => Promise.resolve(false);

  /** How many wait to be taken. */
  get held(): number {
    return this.#held.length - this.#at;
  }

  /** The next record, if it was read already: most are, and nobody need wait for those. */
  get head(): BusRecord | undefined {
    return this.#held[this.#at];
  }

  give(records: readonly BusRecord[]): void {
    // What was taken is let go here, and not one by one.
    if (this.#at > 0) this.#held = this.#held.slice(this.#at);
    this.#at = 0;
    for (const record of records) if (this.wanted(record)) this.#held.push(record);
  }

  /** Goes past the record that `head` or `peek` gave. */
  skip(): void {
    this.#at += 1;
  }

  /** The next record without taking it; undefined at the mark. */
  async peek(): Promise<BusRecord | undefined> {
    while (this.head === undefined) if (!(await this.more())) return undefined;
    return this.head;
  }

  async take(): Promise<BusRecord | undefined> {
    const record = this.head ?? (await this.peek());
    if (record !== undefined) this.skip();
    return record;
  }
}
