import { Clock } from './clock.port.js';

interface Sleeper {
  readonly dueAtMs: number;
  readonly wake: () => void;
}

/**
 * Time that stands still until a test moves it. Wall clock and monotonic clock start apart on purpose, so that code which
 * mixes them up is wrong by decades and not by chance right.
 */
export class ManualClock extends Clock {
  readonly #sleepers = new Set<Sleeper>();
  #wallMs: number;
  #monotonicMs = 1_000;

  constructor(wallMs = Date.parse('2026-01-01T00:00:00Z')) {
    super();
    this.#wallMs = wallMs;
  }

  nowMs(): number {
    return this.#wallMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  /** How many sleeps are under way: what a test waits for before it moves the time. */
  get sleeping(): number {
    return this.#sleepers.size;
  }

  sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted === true || durationMs <= 0) {
        resolve();
        return;
      }
      const sleeper: Sleeper = {
        dueAtMs: this.#monotonicMs + durationMs,
        wake: () => {
          this.#sleepers.delete(sleeper);
          signal?.removeEventListener('abort', sleeper.wake);
          resolve();
        },
      };
      this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', sleeper.wake, { once: true });
    });
  }

  /**
   * Moves both clocks on, stopping at each sleep that falls due: the sleeper runs, at its own moment, before later ones are
   * woken, and may sleep again within the same advance. Sleeps that are due together wake in the order they began.
   */
  async advance(durationMs: number): Promise<void> {
    if (!(durationMs >= 0)) throw new RangeError('time only goes forward: advance by zero or more milliseconds');
    const untilMs = this.#monotonicMs + durationMs;
    await turn();
    for (let next = this.#next(untilMs); next !== undefined; next = this.#next(untilMs)) {
      this.#moveTo(next.dueAtMs);
      next.wake();
      await turn();
    }
    this.#moveTo(untilMs);
  }

  /** Steps the wall clock alone, as an operator or a time server does; the monotonic clock and sleeps do not notice. */
  stepWall(byMs: number): void {
    this.#wallMs += byMs;
  }

  #next(untilMs: number): Sleeper | undefined {
    let first: Sleeper | undefined;
    for (const sleeper of this.#sleepers) {
      if (sleeper.dueAtMs <= untilMs && (first === undefined || sleeper.dueAtMs < first.dueAtMs)) first = sleeper;
    }
    return first;
  }

  #moveTo(monotonicMs: number): void {
    this.#wallMs += monotonicMs - this.#monotonicMs;
    this.#monotonicMs = monotonicMs;
  }
}

/** One turn of the event loop: whoever was woken runs up to the next thing that it waits for. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
