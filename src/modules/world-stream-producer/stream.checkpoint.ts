import { isProbityError } from '../../rails/errors/probity-error.js';
import type { Clock } from '../../substrate/clock/clock.port.js';
import type { Logger } from '../../substrate/telemetry/telemetry.port.js';
import { pauseMs } from './answers.core.js';
import { Bell } from './bell.js';
import type { StreamTimings } from './stream.timings.js';
import type { Lease, Progress, Wanted, WorldStreamProducerStore } from './world-stream-producer.store.js';

export interface CheckpointParts {
  readonly store: WorldStreamProducerStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly timings: StreamTimings;
  readonly random: () => number;
}

/**
 * Writes how far a stream is, and holds its lease with the same writes. Each write is the whole state of one moment under the fence, so that
 * one that is repeated, or comes late, harms nothing.
 *
 * It runs beside the stream: what was answered since the last write is in `mark`, and comes again as duplicates if the process dies. The
 * stream waits for it only where the lease could have run out (`held`): then another process may be streaming.
 */
export class Checkpoint {
  readonly #work: Promise<void>;
  readonly #bell: Bell;
  #dirty = false;
  #urgent = false;
  #ended = false;
  #lost = false;
  #heldUntilMs: number;
  #failures = 0;

  constructor(
    private readonly lease: Lease,
    /** Taken when the lease was, on this process's own clock: before the database's began to count. */
    takenAtMs: number,
    private readonly parts: CheckpointParts,
    private readonly progress: () => Progress,
    private readonly onAnswer: (answer: Wanted | 'LOST') => void,
  ) {
    this.#bell = new Bell(parts.clock);
    this.#heldUntilMs = takenAtMs + parts.timings.leaseMs;
    this.#work = this.#run();
  }

  /** Something changed that is worth writing; `now` does not wait for others that may follow. */
  mark(how: 'soon' | 'now' = 'soon'): void {
    const rings = !this.#dirty || how === 'now';
    this.#dirty = true;
    this.#urgent ||= how === 'now';
    if (rings) this.#bell.ring();
  }

  get lost(): boolean {
    return this.#lost;
  }

  /** Whether nobody else can have the stream at this moment. */
  get held(): boolean {
    return !this.#lost && this.parts.clock.monotonicMs() < this.#heldUntilMs;
  }

  /** Ends the writing; after that nothing is under way. */
  async end(): Promise<void> {
    this.#ended = true;
    this.#bell.ring();
    await this.#work;
  }

  async #run(): Promise<void> {
    const { clock, timings } = this.parts;
    let renewAtMs = clock.monotonicMs() + timings.leaseMs / 3;
    while (this.#goesOn()) {
      await this.#waitUntil(renewAtMs, () => this.#dirty);
      if (!this.#goesOn()) return;
      [this.#dirty, this.#urgent] = [false, false];
      const startedAtMs = clock.monotonicMs();
      if (!(await this.#save())) continue;
      renewAtMs = startedAtMs + timings.leaseMs / 3;
      await this.#waitUntil(startedAtMs + timings.checkpointMs, () => this.#urgent);
    }
  }

  #goesOn(): boolean {
    return !this.#ended && !this.#lost;
  }

  async #waitUntil(atMs: number, cause: () => boolean): Promise<void> {
    const { clock } = this.parts;
    while (!this.#ended && !cause() && clock.monotonicMs() < atMs) await this.#bell.wait(atMs - clock.monotonicMs());
  }

  async #save(): Promise<boolean> {
    const { store, clock, logger, timings, random } = this.parts;
    const startedAtMs = clock.monotonicMs();
    try {
      const answer = await store.save(this.lease, this.progress(), timings.leaseMs);
      this.#failures = 0;
      this.#lost = answer === null;
      this.#heldUntilMs = startedAtMs + timings.leaseMs;
      this.onAnswer(answer ?? 'LOST');
      return !this.#lost;
    } catch (error) {
      // The stream goes on as long as the lease certainly holds; whatever the database says, the next write says everything again.
      const code = isProbityError(error) ? error.code : 'INTERNAL';
      logger.warn('stream_checkpoint_failed', { run_id: this.lease.run_id, code, error });
      this.#dirty = true;
      const untilMs = clock.monotonicMs() + pauseMs(this.#failures, timings.backOff, 0, random());
      this.#failures += 1;
      await this.#waitUntil(untilMs, () => false);
      return false;
    }
  }
}
