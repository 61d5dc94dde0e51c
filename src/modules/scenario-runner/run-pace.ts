/** How often a run is looked at, and how long a holder of its lease may be silent. All in milliseconds. */
export interface RunPace {
  /** A process that died leaves its runs to others after this; a holder renews at a third of it. */
  readonly leaseMs: number;
  /** For an answer of the engine: it starts or says how far it is, and never waits for the world. */
  readonly callMs: number;
  /** Between two questions to the engine: from the first to the longest, doubling. */
  readonly pollFirstMs: number;
  readonly pollMaxMs: number;
  /** Between two looks at evidence that is missing. */
  readonly evidenceMs: number;
  /** Between two looks for runs that nobody advances. */
  readonly idleMs: number;
  /** After a failure of the store, the bus or the database: from this, doubling up to pollMaxMs. */
  readonly backOffMs: number;
  /** Runs that one process advances at the same time. They wait most of the time; the engine bounds its own work. */
  readonly runsMax: number;
}

/** The token under which the pace is injected. */
export const RUN_PACE = Symbol('run pace');

export const DEFAULT_PACE: RunPace = {
  leaseMs: 15_000,
  callMs: 4_000,
  pollFirstMs: 50,
  pollMaxMs: 2_000,
  evidenceMs: 1_000,
  idleMs: 2_000,
  backOffMs: 100,
  runsMax: 64,
};
