import { type Clock } from '../../clock/clock.port.js';
import { NO_LONGER_NEEDED } from '../../clock/deadline.js';

/**
 * A wake-up that is not lost when it comes early: rung while nobody waits, it ends the next wait at once. One waits at a
 * time.
 */
export class Bell {
  readonly #clock: Clock;
  #rung = false;
  #waiting: AbortController | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  ring(): void {
    this.#rung = true;
    this.#waiting?.abort(NO_LONGER_NEEDED);
  }

  /** Resolves when it is rung, or after `limitMs`. */
  async wait(limitMs: number): Promise<void> {
    if (!this.#rung) {
      this.#waiting = new AbortController();
      await this.#clock.sleep(limitMs, this.#waiting.signal);
      this.#waiting = undefined;
    }
    this.#rung = false;
  }
}
