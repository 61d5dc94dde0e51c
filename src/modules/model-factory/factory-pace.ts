/** How a process works on runs: nothing in it changes what comes out. */
export class FactoryPace {
  /** A process that died leaves its run to others after this; a holder renews at a third of it. */
  readonly leaseMs: number = 15_000;
  /** Between two looks for runs that nobody works on. */
  readonly idleMs: number = 2_000;
  /** After a failure that may pass: from this, doubling up to `backOffMaxMs`. */
  readonly backOffMs: number = 1_000;
  readonly backOffMaxMs: number = 300_000;
  /** Failures in a row after which a run gives up: at the longest wait, the better part of a day. */
  readonly triesMax: number = 200;
}
