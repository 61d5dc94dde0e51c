import type { Clock } from './clock.port.js';

export interface RoundsOptions {
  readonly clock: Clock;
  /** One piece of the work. @returns how much it did; the next one follows at once until there is nothing to do */
  readonly round: () => Promise<number>;
  /** How long to wait then, unless somebody wakes it. */
  readonly everyMs: number;
  /** A round that fails is tried again after the wait; must not throw. */
  readonly onFailure: (error: unknown) => void;
}

/** Work in the background of a process: round after round from `start` to `stop`, which waits for the one that is under way. */
export class Rounds {
  readonly #ended = new AbortController();
  #bell = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(private readonly options: RoundsOptions) {}

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#ended.abort();
    await this.#running;
  }

  /** There may be something to do. Rung while a round is under way, it ends the next wait at once. */
  wake(): void {
    this.#bell.abort();
  }

  async #run(): Promise<void> {
    const { clock, round, everyMs, onFailure } = this.options;
    while (!this.#ended.signal.aborted) {
      this.#bell = new AbortController();
      try {
        if ((await round()) > 0) continue;
      } catch (error) {
        onFailure(error);
      }
      await clock.sleep(everyMs, AbortSignal.any([this.#bell.signal, this.#ended.signal]));
    }
  }
}
