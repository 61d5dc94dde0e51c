import { isUtf8 } from 'node:buffer';
import { type Context } from '@opentelemetry/api';
import { digestBytes } from '../../rails/digest.js';
import { asTopicName } from '../../rails/eb-ref.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { fromEpochMs } from '../../rails/time.js';
import { asGroupName } from '../../substrate/bus/bus.names.js';
import type {
  BatchControl,
  Bus,
  BusConsumer,
  BusRecord,
  RecordBatch,
  TopicPartition,
} from '../../substrate/bus/bus.port.js';
import type { Clock } from '../../substrate/clock/clock.port.js';
import type { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import type { JsonElement } from '../../substrate/http/json-splitter.js';
import { madeOf, MESSAGE_BYTES_MAX } from './edge-body.js';
import type { EdgeResult } from './edge.result.js';
import { compileMapping, mapped, type RecordMapping } from './mapping.core.js';
import type { SourceEdge } from './producer-edges.policy.js';
import { type Edge, type ProducerEdgesService, traceIdsOf } from './producer-edges.service.js';
import type { DoneBatch, ProducerEdgesStore } from './producer-edges.store.js';
import type { RunBindings } from './run-bindings.js';
import { eventOf, type Made } from './transaction.core.js';

export interface EdgeSourceParts {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly store: ProducerEdgesStore;
  readonly bindings: RunBindings;
  readonly edges: ProducerEdgesService;
}

export interface SourceStanding {
  readonly producer: string;
  readonly topic: string;
  readonly partition: number;
  /** Records still to read, at most. */
  readonly lag: number;
  /** When the bus took the youngest record that has been dealt with. */
  readonly watermarkMs?: number;
}

const BATCH_RECORDS_MAX = 500;
/** The first wait after a start that failed, and the last: a topic may come into being long after the source was declared. */
const RESTART_MS = { first: 500, last: 30_000 } as const;

/**
 * A topic of somebody else, read as a named producer. Delivery is at least once and effects are once: the position is
 * committed after the gate has answered every record of the batch finally, and a record that comes again derives the same
 * event id, so that the gate knows it.
 *
 * A record that is no transaction is kept by its digest and place and passed over; it never stops the partition. What may
 * succeed later (the gate is paused, the run is not ready) holds the partition, and the bus delivers the batch again.
 */
export class EdgeSource {
  readonly #source: SourceEdge;
  readonly #parts: EdgeSourceParts;
  readonly #mapping: RecordMapping | undefined;
  readonly #stopping = new AbortController();
  #consumer: BusConsumer | undefined;
  #running: Promise<void> | undefined;
  readonly #watermarks = new Map<number, number>();

  constructor(source: SourceEdge, parts: EdgeSourceParts) {
    this.#source = source;
    this.#parts = parts;
    this.#mapping = source.mapping === undefined ? undefined : compileMapping(source.mapping);
  }

  /** Begins to read, and goes on trying where the topic is not there yet. Never rejects and waits for nothing. */
  start(): void {
    this.#running ??= this.#start();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
    await this.#consumer?.stop();
  }

  /** How far the partitions that are read here have come, for those who watch. */
  async standing(): Promise<readonly SourceStanding[]> {
    const partitions = (await this.#consumer?.status()) ?? [];
    const { producer, topic } = this.#source;
    return partitions.map(({ partition, lagOffsets }) => {
      const watermarkMs = this.#watermarks.get(partition);
      return { producer, topic, partition, lag: lagOffsets, ...(watermarkMs === undefined ? {} : { watermarkMs }) };
    });
  }

  async #start(): Promise<void> {
    const { clock, telemetry } = this.#parts;
    const { producer, topic, group } = this.#source;
    for (let waitMs: number = RESTART_MS.first; !this.#stopping.signal.aborted;) {
      const consumer = this.#open();
      try {
        await consumer.start();
        this.#consumer = consumer;
        telemetry.logger.info('edge_source_started', { producer, topic, group });
        return;
      } catch (error) {
        telemetry.logger.warn('edge_source_failed', { producer, topic, group, error });
        await consumer.stop().catch(() => undefined);
      }
      await clock.sleep(waitMs, this.#stopping.signal);
      waitMs = Math.min(2 * waitMs, RESTART_MS.last);
    }
  }

  #open(): BusConsumer {
    const { bus, store } = this.#parts;
    const { topic, group, start } = this.#source;
    return bus.openConsumer({
      group: asGroupName(group),
      topics: [asTopicName(topic)],
      positions: (partitions) => store.positions(group, partitions),
      startWhenUnknown: start === 'earliest' ? 'low-water' : 'high-water',
      batchRecordsMax: BATCH_RECORDS_MAX,
      onBatch: (batch, control) => this.#take(batch, control),
      // "From now on" means from the first assignment: taken anew after a crash, it would skip what came in between.
      ...(start === 'latest' ? { onAssigned: (partitions) => this.#begin(partitions) } : {}),
    });
  }

  async #begin(partitions: readonly TopicPartition[]): Promise<void> {
    const { bus, store } = this.#parts;
    const marks = await bus.marks(asTopicName(this.#source.topic));
    const mine = marks.filter(({ partition }) => partitions.some((assigned) => assigned.partition === partition));
    await store.begin(
      this.#source.group,
      mine.map(({ topic, partition, highWater }) => ({ topic, partition, offset: highWater })),
    );
  }

  async #take(batch: RecordBatch, control: BatchControl): Promise<void> {
    const { telemetry, bindings, edges, store } = this.#parts;
    const [first] = batch.records;
    if (first === undefined) return;
    const pins = await bindings.pinsOf(this.#source.run_equivalence_key);
    const edge: Edge = { producer: this.#source.producer, via: 'bus', pins };
    const parent = telemetry.extract(first.headers);
    await telemetry.span('edge.source.batch', { parent }, async (trace) => {
      const messages = batch.records.map((record) => this.#made(record, edge));
      const results = await edges.submit(edge, messages, { trace, signal: control.signal });
      const open = results.find(({ decision, retryable }) => decision === 'QUARANTINE' && retryable);
      if (open !== undefined) {
        throw new ProbityError(
          'IG_RUN_NOT_READY',
          `the gate will admit it later: ${open.code ?? ''} ${open.detail ?? ''}`,
        );
      }
      if (control.signal.aborted) return;
      await store.done(this.#done(batch, first, results));
      this.#watermarks.set(batch.partition, batch.records.at(-1)?.appendedAtMs ?? first.appendedAtMs);
    });
  }

  /** Each record under its own trace, where it brings one: the trace is its sender's, not the batch's. */
  #made(record: BusRecord, edge: Edge): Made {
    const { telemetry } = this.#parts;
    const trace: Context = telemetry.extract(record.headers);
    const make = (message: unknown): Made =>
      eventOf(this.#mapping === undefined ? message : mapped(message, this.#mapping), edge, traceIdsOf(trace));
    return madeOf(elementOf(record.value), make);
  }

  #done(batch: RecordBatch, first: BusRecord, results: readonly EdgeResult[]): DoneBatch {
    const found_at_utc = fromEpochMs(this.#parts.clock.nowMs());
    const count = (wanted: EdgeResult['decision']): number =>
      results.filter(({ decision }) => decision === wanted).length;
    return {
      group: this.#source.group,
      topic: batch.topic,
      partition: batch.partition,
      firstOffset: first.offset,
      nextOffset: batch.nextOffset,
      counts: {
        admitted: count('ADMIT'),
        duplicate: count('DUPLICATE'),
        quarantined: count('QUARANTINE'),
        unreadable: count('REFUSED'),
      },
      unreadable: results.flatMap(({ decision, code = '', at = '', detail = '' }, index) => {
        const record = batch.records[index];
        if (decision !== 'REFUSED' || record === undefined) return [];
        const { offset, value } = record;
        const { producer } = this.#source;
        const raw = { raw_digest: digestBytes(value), raw_bytes: value.byteLength };
        return [{ offset, producer, code, at, detail, ...raw, found_at_utc }];
      }),
    };
  }
}

/** A record's value as an element of a body, so that both are refused for the same reasons. */
function elementOf(value: Uint8Array): JsonElement {
  const bytes = value.byteLength;
  if (bytes > MESSAGE_BYTES_MAX) return { index: 0, refused: 'too_large', bytes };
  if (!isUtf8(value)) return { index: 0, refused: 'not_utf8', bytes };
  return { index: 0, text: Buffer.from(value.buffer, value.byteOffset, bytes).toString('utf8') };
}
