import { type ProbityError } from '../../../rails/errors/probity-error.js';
import { type Clock } from '../../clock/clock.port.js';
import { type BusRecord, type Offset, type Position, type RecordBatch, type TopicPartition } from '../bus.port.js';
import { committedPart } from './kafka.log.core.js';
import { judgePosition } from './kafka.marks.js';
import { busError } from './kafka.persist.js';
import { classify, isRefusal, READ_COMMITTED, type WireError } from './kafka.protocol.js';
import { type Wire } from './kafka.wire.js';

/**
 * Reads chosen partitions from chosen offsets ahead of who takes the records. The broker keeps one long poll waiting per
 * connection, so there is one loop per leading broker, and each of its requests names every partition that has room in
 * its buffer: a slow handler of one partition never holds up another.
 *
 * A slot (one partition) is *located* (its leader is known), *hungry* (its buffer has room), or *failed* (its position
 * is not in the log; it stays so until it is told another position). A position told while a request is under way makes
 * that request's answer for this slot void: `turn` counts them.
 */
interface Slot extends TopicPartition {
  /** Where the next request begins. */
  position: Offset;
  /** Up to where whoever takes the records was told. */
  told: Offset;
  turn: number;
  node: number | undefined;
  buffer: BusRecord[];
  bufferBytes: number;
  highWater: Offset;
  /** Requests answered since the last question of `answered`. */
  answers: number;
  /** Answers in a row that could not be read. */
  defects: number;
  failure: ProbityError | undefined;
}

export interface FetcherOptions {
  readonly wire: Wire;
  readonly clock: Clock;
  readonly requestTimeoutMs: number;
  /** Stops reading ahead when so many records of a partition wait. */
  readonly bufferRecordsMax: number;
  readonly onDefect: (error: ProbityError) => void;
}

/** The longest that an idle request waits at the broker, hence how long a new partition may wait to be named in one. */
const LONG_POLL_MS = 250;
const PARTITION_BYTES_MAX = 1024 * 1024;
const RESPONSE_BYTES_MAX = 8 * 1024 * 1024;
/** So many unreadable answers in a row, a tenth of a second apart, and the partition stands still. */
const DEFECTS_MAX = 5;

export class KafkaFetcher {
  readonly #options: FetcherOptions;
  readonly #slots = new Map<string, Slot>();
  readonly #loops = new Map<number, Promise<void>>();
  readonly #ended = new AbortController();
  #waiting = new Set<() => void>();
  #locating: Promise<void> | undefined;
  #demanded = false;
  #turns = 0;
  #trouble: WireError | undefined;

  constructor(options: FetcherOptions) {
    this.#options = options;
  }

  /** Begins or moves partitions; what was read ahead of them is dropped. */
  seek(positions: readonly Position[]): void {
    for (const { topic, partition, offset } of positions) {
      const old = this.#slots.get(keyOf({ topic, partition }));
      this.#slots.set(keyOf({ topic, partition }), {
        topic,
        partition,
        position: offset,
        told: offset,
        // Never the number of an earlier life of this partition: its late answer would be taken for ours.
        turn: (this.#turns += 1),
        node: old?.node,
        buffer: [],
        bufferBytes: 0,
        highWater: old?.highWater ?? offset,
        answers: 0,
        defects: 0,
        failure: undefined,
      });
    }
    this.#notify();
    this.#kick();
  }

  drop(places: readonly TopicPartition[]): void {
    for (const place of places) this.#slots.delete(keyOf(place));
    this.#notify();
  }

  /** Reading ahead happens only while somebody wants it; a reader between two polls costs the broker nothing. */
  demand(wanted: boolean): void {
    this.#demanded = wanted;
    if (wanted) {
      for (const slot of this.#slots.values()) slot.answers = 0;
      this.#notify();
      this.#kick();
    }
  }

  /** Up to `recordsMax` records that are here already; undefined when none are. */
  take(place: TopicPartition, recordsMax: number): RecordBatch | undefined {
    const slot = this.#slots.get(keyOf(place));
    if (slot === undefined || slot.buffer.length === 0 || recordsMax < 1) return undefined;
    const { topic, partition, highWater } = slot;
    const records = slot.buffer.splice(0, recordsMax);
    slot.bufferBytes = slot.buffer.length === 0 ? 0 : Math.max(0, slot.bufferBytes - bytesOf(records));
    const nextOffset = nextOf(slot);
    slot.told = nextOffset;
    this.#notify();
    return { topic, partition, records, nextOffset, highWater: nextOffset > highWater ? nextOffset : highWater };
  }

  /** Where the taker of a partition stands: at the first record that is here, else past what was read. */
  standing(place: TopicPartition): { readonly nextOffset: Offset; readonly highWater: Offset } | undefined {
    const slot = this.#slots.get(keyOf(place));
    return slot === undefined ? undefined : { nextOffset: nextOf(slot), highWater: slot.highWater };
  }

  /** A batch without records, where reading went over a gap (markers, aborted records) since the last batch was taken. */
  takeGap(place: TopicPartition): RecordBatch | undefined {
    const slot = this.#slots.get(keyOf(place));
    if (slot === undefined || slot.buffer.length > 0 || slot.position <= slot.told) return undefined;
    const { topic, partition, position, highWater } = slot;
    slot.told = position;
    return {
      topic,
      partition,
      records: [],
      nextOffset: position,
      highWater: position > highWater ? position : highWater,
    };
  }

  failure(place: TopicPartition): ProbityError | undefined {
    return this.#slots.get(keyOf(place))?.failure;
  }

  /** Whether every partition was asked for and answered since the demand began. */
  get answered(): boolean {
    return [...this.#slots.values()].every(({ answers, failure }) => answers > 0 || failure !== undefined);
  }

  /** The last failure to reach the brokers, until the next answer. */
  get trouble(): WireError | undefined {
    return this.#trouble;
  }

  /** Resolves at the next change of any slot, or when the time is up, or at once when the signal aborts. */
  async changed(waitMs: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true || this.#ended.signal.aborted) return;
    const { clock } = this.#options;
    const timer = new AbortController();
    await new Promise<void>((resolve) => {
      const wake = () => {
        this.#waiting.delete(wake);
        signal?.removeEventListener('abort', wake);
        timer.abort();
        resolve();
      };
      this.#waiting.add(wake);
      signal?.addEventListener('abort', wake);
      if (Number.isFinite(waitMs)) void clock.sleep(waitMs, timer.signal).then(wake);
    });
  }

  async close(): Promise<void> {
    this.#ended.abort();
    this.#notify();
    await Promise.allSettled([...this.#loops.values(), this.#locating]);
  }

  #notify(): void {
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const wake of waiting) wake();
  }

  /** Sees to it that every slot's leader is known and has its loop. */
  #kick(): void {
    if (this.#ended.signal.aborted || !this.#demanded) return;
    const lost = [...this.#slots.values()].some(({ node, failure }) => node === undefined && failure === undefined);
    if (lost) {
      this.#locating ??= this.#locate().finally(() => {
        this.#locating = undefined;
        // A loop that was there before sleeps until it is told that it has work again.
        this.#notify();
        this.#kick();
      });
    }
    for (const { node } of this.#slots.values()) {
      if (node !== undefined && !this.#loops.has(node)) this.#loops.set(node, this.#loop(node));
    }
  }

  async #locate(): Promise<void> {
    const { wire, clock } = this.#options;
    const topics = new Set([...this.#slots.values()].flatMap(({ topic, node }) => (node === undefined ? [topic] : [])));
    for (const topic of topics) {
      try {
        const leaders = await wire.leaders(topic);
        for (const slot of this.#slots.values()) if (slot.topic === topic) slot.node = leaders.get(slot.partition);
      } catch (error) {
        this.#trouble = classify(error);
      }
    }
    const lost = [...this.#slots.values()].some(({ node }) => node === undefined);
    if (!lost) return;
    await clock.sleep(100, this.#ended.signal);
    await wire.refresh().catch(() => undefined);
  }

  async #loop(node: number): Promise<void> {
    const ended = this.#ended.signal;
    while (!ended.aborted) {
      const hungry = this.#hungry(node);
      if (hungry.length === 0) {
        await this.changed(Infinity, ended);
        continue;
      }
      const turns = new Map(hungry.map((slot) => [keyOf(slot), slot.turn]));
      try {
        await this.#fetch(node, hungry, turns);
        this.#trouble = undefined;
      } catch (raw) {
        await this.#recover(classify(raw), hungry, turns);
      }
    }
  }

  #hungry(node: number): Slot[] {
    const { bufferRecordsMax } = this.#options;
    if (!this.#demanded) return [];
    return [...this.#slots.values()].filter(
      (slot) =>
        slot.node === node &&
        slot.failure === undefined &&
        slot.buffer.length < bufferRecordsMax &&
        slot.bufferBytes < PARTITION_BYTES_MAX,
    );
  }

  async #fetch(node: number, hungry: readonly Slot[], turns: ReadonlyMap<string, number>): Promise<void> {
    const topics = [...new Set(hungry.map(({ topic }) => topic))].map((topic) => ({
      topic: topic,
      partitions: hungry
        .filter((slot) => slot.topic === topic)
        .map(({ partition, position }) => ({
          partition,
          fetchOffset: String(position),
          maxBytes: PARTITION_BYTES_MAX,
        })),
    }));
    const request = {
      isolationLevel: READ_COMMITTED,
      maxWaitTime: LONG_POLL_MS,
      minBytes: 1,
      maxBytes: RESPONSE_BYTES_MAX,
      topics,
    };
    const { responses } = await this.#options.wire.ask(node, (broker) => broker.fetch(request));
    for (const { topicName, partitions } of responses) {
      for (const raw of partitions) {
        const key = keyOf({ topic: topicName, partition: raw.partition });
        const slot = this.#slots.get(key);
        if (slot === undefined || slot.turn !== turns.get(key)) continue;
        const part = committedPart(raw, slot.position);
        for (const record of part.records) {
          slot.buffer.push(record);
          slot.bufferBytes += record.value.byteLength;
        }
        slot.position = part.nextOffset;
        slot.highWater = part.highWater;
        slot.answers += 1;
        slot.defects = 0;
      }
    }
    this.#notify();
  }

  async #recover(error: WireError, hungry: readonly Slot[], turns: ReadonlyMap<string, number>): Promise<void> {
    const { wire, clock, onDefect, requestTimeoutMs } = this.#options;
    const current = hungry.filter((slot) => this.#slots.get(keyOf(slot))?.turn === turns.get(keyOf(slot)));
    if (isRefusal(error, 'OFFSET_OUT_OF_RANGE') && error.at !== undefined) {
      const { topic, partition } = error.at;
      const slot = current.find((one) => one.topic === topic && one.partition === partition);
      if (slot !== undefined) {
        const { turn } = slot;
        const judged = await judgePosition(
          { wire, clock, timeoutMs: requestTimeoutMs },
          { ...slot, offset: slot.position },
        ).catch(() => undefined);
        if (this.#slots.get(keyOf(slot))?.turn === turn) slot.failure = judged;
        if (judged === undefined) await clock.sleep(100, this.#ended.signal);
      }
    } else if (error.kind === 'defect') {
      // Bytes that cannot be decoded will not be decodable next time: stand still by name instead of asking for ever. But
      // a partition that stands still needs an operator, so one bad answer of a connection that breaks is not enough.
      const failure = busError(error, 'an answer of the bus could not be read');
      for (const slot of current) {
        slot.defects += 1;
        if (slot.defects >= DEFECTS_MAX) slot.failure = failure;
      }
      onDefect(failure);
      await clock.sleep(100, this.#ended.signal);
    } else {
      this.#trouble = error;
      for (const slot of current) slot.node = undefined;
      await clock.sleep(100, this.#ended.signal);
      await wire.refresh().catch(() => undefined);
      this.#kick();
    }
    this.#notify();
  }
}

/** Offsets past the last record that was taken; records still here come next, else what the log's end was. */
function nextOf({ buffer, position }: Slot): Offset {
  return buffer[0]?.offset ?? position;
}

function bytesOf(records: readonly BusRecord[]): number {
  let bytes = 0;
  for (const { value } of records) bytes += value.byteLength;
  return bytes;
}

export function keyOf({ topic, partition }: { readonly topic: string; readonly partition: number }): string {
  return `${topic}/${partition}`;
}
