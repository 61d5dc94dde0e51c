import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { asTopicName, type EbRef } from '../../rails/eb-ref.js';
import type { Decision } from '../../rails/events/decision.schema.js';
import { isOtherType, readEvent } from '../../rails/events/read-event.js';
import { Bus, type BusReader, type Offset } from '../../substrate/bus/bus.port.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';

export interface SeenDecision {
  readonly decision: Decision;
  readonly ebRef: EbRef;
}

type Waiter = (seen: SeenDecision | undefined) => void;

/** One request's view of the tail. */
export interface DecisionWatch {
  /** The decision of this id; undefined when the signal aborts first. */
  wait(decisionId: string, signal: AbortSignal): Promise<SeenDecision | undefined>;
  close(): void;
}

const TOPIC = asTopicName('fp.bus.traffic.v1');
const POLL_RECORDS = 500;
const POLL_WAIT_MS = 250;
/** Kept open so long after the last request: opening costs a round trip that the next one should not pay. */
const IDLE_MS = 60_000;
const RETRY_MS = 100;
/** Of a busy bus: what passes within the moment between an append and its answer. */
const REMEMBERED_MAX = 5_000;

/**
 * Waits for decisions by their identity on the bus. Whoever holds a request need not be who judges its partition: there is no shared memory between
 * them, and there is none here. One reader without a group per process, from the high-water mark at its opening; it is opened before
 * anything is submitted, so that no decision can pass it by.
 */
@Injectable()
export class DecisionTail implements OnModuleDestroy {
  readonly #waiters = new Map<string, Set<Waiter>>();
  /** Decisions that were seen while somebody watched. */
  readonly #recent = new Map<string, SeenDecision>();
  #watches = 0;
  #opening: Promise<void> | undefined;
  #lastUsedMs = 0;
  #closed = false;

  constructor(
    private readonly bus: Bus,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
  ) {}

  onModuleDestroy(): void {
    this.#closed = true;
  }

  /**
   * A watch that sees every decision from now on. Open it before what makes the decision is submitted, and close it at the end: until then
   * decisions that nobody waits for yet are remembered, since one may stand on the bus before its submission has been answered.
   */
  async watch(): Promise<DecisionWatch> {
    this.#lastUsedMs = this.clock.monotonicMs();
    this.#watches += 1;
    try {
      this.#opening ??= this.#start();
      await this.#opening;
    } catch (error) {
      this.#opening = undefined;
      this.#unwatch();
      throw error;
    }
    return { wait: (decisionId, signal) => this.#wait(decisionId, signal), close: () => this.#unwatch() };
  }

  async #wait(decisionId: string, signal: AbortSignal): Promise<SeenDecision | undefined> {
    const seen = this.#recent.get(decisionId);
    if (seen !== undefined || signal.aborted) return seen;
    return await new Promise((resolve) => {
      const waiters = this.#waiters.get(decisionId) ?? new Set();
      const end = (found: SeenDecision | undefined): void => {
        waiters.delete(end);
        if (waiters.size === 0) this.#waiters.delete(decisionId);
        resolve(found);
      };
      waiters.add(end);
      this.#waiters.set(decisionId, waiters);
      signal.addEventListener('abort', () => end(undefined), { once: true });
    });
  }

  #unwatch(): void {
    this.#watches -= 1;
    if (this.#watches === 0) this.#recent.clear();
  }

  async #start(): Promise<void> {
    const marks = await this.bus.marks(TOPIC);
    const next = new Map(marks.map(({ partition, highWater }) => [partition, highWater]));
    const reader = await this.#read(next);
    void this.#follow(reader, next);
  }

  async #read(next: ReadonlyMap<number, Offset>): Promise<BusReader> {
    return await this.bus.openReader([...next].map(([partition, offset]) => ({ topic: TOPIC, partition, offset })));
  }

  /** A reader that fails is replaced by one that goes on where it stood: somebody may be waiting for what comes next. */
  async #follow(first: BusReader, next: Map<number, Offset>): Promise<void> {
    let reader: BusReader | undefined = first;
    while (!this.#closed && !this.#isIdle()) {
      try {
        reader ??= await this.#read(next);
        for (const batch of await reader.poll({ recordsMax: POLL_RECORDS, waitMs: POLL_WAIT_MS })) {
          const { partition, records, nextOffset } = batch;
          if (this.#watches > 0)
            for (const { value, offset } of records) this.#see(value, { topic: TOPIC, partition, offset });
          next.set(partition, nextOffset);
        }
      } catch (error) {
        this.telemetry.logger.warn('df_tail_failed', { detail: String(error) });
        await reader?.close().catch(() => undefined);
        reader = undefined;
        await this.clock.sleep(RETRY_MS);
      }
    }
    this.#opening = undefined;
    await reader?.close().catch(() => undefined);
  }

  #isIdle(): boolean {
    return this.#watches === 0 && this.clock.monotonicMs() - this.#lastUsedMs > IDLE_MS;
  }

  #see(value: Uint8Array, ebRef: EbRef): void {
    if (isOtherType(value, (type) => type === 'decision')) return;
    const read = readEvent(value);
    if (!read.ok || read.event.eventType !== 'decision') return;
    // Admission checked it against the published schema.
    const seen: SeenDecision = { decision: read.event.payload as unknown as Decision, ebRef };
    this.#recent.set(read.event.eventId, seen);
    const [oldest] = this.#recent.keys();
    if (this.#recent.size > REMEMBERED_MAX && oldest !== undefined) this.#recent.delete(oldest);
    for (const waiter of [...(this.#waiters.get(read.event.eventId) ?? [])]) waiter(seen);
  }
}
