import { type EpochMicros, fromEpochMicros, type UtcMicros } from '../../rails/time.js';

/** The end of the platform's calendar: a clock that ran past it would have no text. */
const LAST_MICROS = Date.UTC(2200, 0, 1) * 1000 - 1;

/**
 * The world's clock while it is played `factor` times as fast as it was. Nothing later than its time may be sent. It stands still while the
 * gate does not keep up (`hold`), so that a slow gate makes time slow instead of a backlog that is sent in one burst afterwards.
 *
 * Both arguments named `nowMs` are of one monotonic clock.
 */
export class SimClock {
  readonly #baseMicros: number;
  #playedMs = 0;
  #runningSinceMs: number | undefined;

  constructor(
    readonly factor: number,
    base: EpochMicros,
  ) {
    this.#baseMicros = base;
  }

  run(nowMs: number): void {
    this.#runningSinceMs ??= nowMs;
  }

  hold(nowMs: number): void {
    this.#playedMs = this.#played(nowMs);
    this.#runningSinceMs = undefined;
  }

  micros(nowMs: number): EpochMicros {
    const micros = this.#baseMicros + Math.floor(this.#played(nowMs) * 1000 * this.factor);
    return Math.min(micros, LAST_MICROS) as EpochMicros;
  }

  utc(nowMs: number): UtcMicros {
    return fromEpochMicros(this.micros(nowMs));
  }

  /** Milliseconds until that moment of the world, if the clock runs: 0 when it has come. */
  msUntil(moment: EpochMicros, nowMs: number): number {
    const leftMicros = moment - this.micros(nowMs);
    // A whole millisecond at the least: rounding may leave a fraction, and a sleep of nothing would turn in a circle.
    return leftMicros <= 0 ? 0 : Math.max(1, Math.ceil(leftMicros / 1000 / this.factor));
  }

  #played(nowMs: number): number {
    return this.#playedMs + (this.#runningSinceMs === undefined ? 0 : nowMs - this.#runningSinceMs);
  }
}
