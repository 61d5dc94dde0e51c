import { toEpochMicros, type UtcMicros } from '../../rails/time.js';
import type { Clock } from '../../substrate/clock/clock.port.js';
import { SimClock } from './pace.core.js';
import type { Pace } from './world-stream-producer.port.js';

/** Says what may be sent by now. As fast as accepted, the world's time is that of the last row sent; otherwise it is a clock of its own. */
export class Pacer {
  #pace: Pace;
  #sim: SimClock | undefined;
  #now: UtcMicros | null;

  /** @param now where the world's clock stood when the stream was put down; null for one that was never sent */
  constructor(
    private readonly clock: Clock,
    pace: Pace,
    now: UtcMicros | null,
  ) {
    this.#pace = pace;
    this.#now = now;
  }

  get pace(): Pace {
    return this.#pace;
  }

  /** The world's time: nothing with a later one has been sent. */
  get now(): UtcMicros | null {
    return this.#sim?.utc(this.clock.monotonicMs()) ?? this.#now;
  }

  /** Another pace from now on, from where the world's clock stands. False where it is the same one. */
  change(pace: Pace): boolean {
    if (factorOf(pace) === factorOf(this.#pace)) return false;
    this.#now = this.now;
    this.#pace = pace;
    this.#sim = undefined;
    return true;
  }

  /** Up to which time rows may be sent now, given the next row's; or in how many milliseconds that one is due. */
  due(next: UtcMicros): { readonly until?: UtcMicros } | number {
    if (this.#pace.mode === 'as_fast_as_accepted') return {};
    const nowMs = this.clock.monotonicMs();
    this.#sim ??= new SimClock(this.#pace.factor, toEpochMicros(this.#now ?? next));
    this.#sim.run(nowMs);
    const leftMs = this.#sim.msUntil(toEpochMicros(next), nowMs);
    return leftMs > 0 ? leftMs : { until: this.#sim.utc(nowMs) };
  }

  sent(last: UtcMicros): void {
    if (this.#sim === undefined) this.#now = last;
  }

  /** The gate does not keep up: the world's clock stands still until `due` is asked again. */
  hold(): void {
    this.#sim?.hold(this.clock.monotonicMs());
  }
}

/** Infinity where the gate alone sets the pace. */
function factorOf(pace: Pace): number {
  return pace.mode === 'speed_up' ? pace.factor : Infinity;
}
