import type { Clock } from '../../substrate/clock/clock.port.js';

/** Wakes whoever sleeps. What to wake for is state that the sleeper looks at again; the bell only says that it may have changed. */
export class Bell {
  #rung = new AbortController();

  constructor(private readonly clock: Clock) {}

  ring(): void {
    const rung = this.#rung;
    this.#rung = new AbortController();
    // Without a reason of its own an abort makes an error with a stack each time.
    rung.abort('rung');
  }

  /** Until the next ring, or so long, whichever comes first. */
  async wait(limitMs = Infinity): Promise<void> {
    const { signal } = this.#rung;
    if (limitMs !== Infinity) await this.clock.sleep(limitMs, signal);
    // Without a limit there is no timer either: it would keep a process alive that waits for nothing else.
    else await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  }
}
