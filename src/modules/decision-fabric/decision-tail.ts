import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { asTopicName, type EbRef } from '../../rails/eb-ref.js';
import type { Decision } from '../../rails/events/decision.schema.js';
import { readEvent } from '../../rails/events/read-event.js';
import { Bus, type BusReader } from '../../substrate/bus/bus.port.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';

export interface SeenDecision {
  readonly decision: Decision;
  readonly ebRef: EbRef;
}

type Waiter = (seen: SeenDecision) => void;

const TOPIC = asTopicName('fp.bus.traffic.v1');
const POLL_RECORDS = 500;
const POLL_WAIT_MS = 250;
/** Kept open so long after the last request: opening costs a round trip that the next one should not pay. */
const IDLE_MS = 60_000;

/**
 * Waits for decisions by their identity on the bus. Whoever holds a request need not be who judges its partition: there is no shared memory between
 * them, and there is none here. One reader without a group per process, from the high-water mark at its opening; it is opened before
 * anything is submitted, so that no decision can pass it by.
 */
@Injectable()
export class DecisionTail implements OnModuleDestroy {
  readonly #waiters = new Map<string, Set<Waiter>>();
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

  /** Resolves once everything that is appended from now on will be seen. */
  async open(): Promise<void> {
    this.#lastUsedMs = this.clock.monotonicMs();
    this.#opening ??= this.#start();
    await this.#opening;
  }

  /** The decision of this id; undefined when the signal aborts first. Call `open` before what makes the decision is submitted. */
  async wait(decisionId: string, signal: AbortSignal): Promise<SeenDecision | undefined> {
    if (signal.aborted) return undefined;
    return await new Promise((resolve) => {
      const waiters = this.#waiters.get(decisionId) ?? new Set();
      const end = (seen: SeenDecision | undefined): void => {
        waiters.delete(waiter);
        if (waiters.size === 0) this.#waiters.delete(decisionId);
        resolve(seen);
      };
      const waiter: Waiter = end;
      waiters.add(waiter);
      this.#waiters.set(decisionId, waiters);
      signal.addEventListener('abort', () => end(undefined), { once: true });
    });
  }

  async #start(): Promise<void> {
    const marks = await this.bus.marks(TOPIC);
    const reader = await this.bus.openReader(
      marks.map(({ topic, partition, highWater }) => ({ topic, partition, offset: highWater })),
    );
    void this.#follow(reader);
  }

  async #follow(reader: BusReader): Promise<void> {
    try {
      while (!this.#closed && !this.#isIdle()) {
        for (const { topic, partition, records } of await reader.poll({
          recordsMax: POLL_RECORDS,
          waitMs: POLL_WAIT_MS,
        })) {
          if (this.#waiters.size === 0) continue;
          for (const { value, offset } of records) this.#see(value, { topic, partition, offset });
        }
      }
    } catch (error) {
      // Those who wait are answered by their deadlines; the next request opens another reader.
      this.telemetry.logger.warn('df_tail_failed', { detail: String(error) });
    } finally {
      this.#opening = undefined;
      await reader.close().catch(() => undefined);
    }
  }

  #isIdle(): boolean {
    return this.#waiters.size === 0 && this.clock.monotonicMs() - this.#lastUsedMs > IDLE_MS;
  }

  #see(value: Uint8Array, ebRef: EbRef): void {
    const read = readEvent(value);
    if (!read.ok || read.event.eventType !== 'decision') return;
    const waiters = this.#waiters.get(read.event.eventId);
    if (waiters === undefined) return;
    // Admission checked it against the published schema.
    const decision = read.event.payload as unknown as Decision;
    for (const waiter of [...waiters]) waiter({ decision, ebRef });
  }
}
