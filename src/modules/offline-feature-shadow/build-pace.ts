import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';

/** How a process builds: nothing in it changes what comes out. */
export class BuildPace {
  /** A process that died leaves its builds to others after this; a holder renews at a third of it. */
  readonly leaseMs: number = 15_000;
  /** Between two looks for builds that nobody works on. */
  readonly idleMs: number = 2_000;
  /** After a failure that may pass: from this, doubling up to `backOffMaxMs`. */
  readonly backOffMs: number = 500;
  readonly backOffMaxMs: number = 30_000;
  /** Processes of one build. Each holds the features of the run's keys, so more of them cost memory. */
  readonly workers: number = Math.max(1, Math.min(4, availableParallelism()));
  /** What they run. */
  readonly program: string = fileURLToPath(new URL('./build.worker.js', import.meta.url));
}
