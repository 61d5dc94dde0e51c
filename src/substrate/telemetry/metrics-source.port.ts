/** One series at one moment, as the Prometheus text format has it: `df_lag{partition="0"} 12`. */
export interface MetricSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
  /** Which process said so. */
  readonly process: string;
}

export interface MetricsReading {
  readonly samples: readonly MetricSample[];
  /** When they were taken, by the wall clock of the reader. */
  readonly takenAtMs: number;
  /** Processes that did not answer, or not with metrics. */
  readonly faults: readonly { readonly process: string; readonly detail: string }[];
}

/** What the units measure of themselves, wherever they run. A source that fails says so in the reading; it never throws. */
export abstract class MetricsSource {
  abstract read(): Promise<MetricsReading>;
}
