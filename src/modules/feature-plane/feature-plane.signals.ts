import type { Counter, Histogram } from '@opentelemetry/api';
import type { Clock } from '../../substrate/clock/clock.port.js';
import { DURATION_BUCKETS_S, GoldenSignals } from '../../substrate/telemetry/golden-signals.js';
import type { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import type { FeatureState } from '../../rails/features/feature-state.js';
import type { ProjectedRun } from '../../substrate/projection/runs.js';

/** What the gauges look at. */
export interface Gauged {
  readonly runs: Iterable<ProjectedRun<FeatureState>>;
  heads(): Iterable<{
    readonly topic: string;
    readonly partition: number;
    readonly next: number;
    readonly highWater: number;
  }>;
  readonly checkpointAgeMs: number | null;
}

/** What the feature plane tells the meters (law O3). Runs stand in status and log, never in a series. */
export class FeatureSignals {
  readonly calls: GoldenSignals;
  readonly #snapshots: Counter;
  readonly #missing: Counter;
  readonly #values: Counter;
  readonly #records: Counter;
  readonly #checkpoint: Histogram;

  constructor({ meter }: Telemetry, clock: Clock, gauged: Gauged) {
    this.calls = new GoldenSignals({ meter, clock, name: 'ofp.snapshots', of: 'calls for snapshots' });
    this.#snapshots = meter.createCounter('ofp.snapshot.results', { description: 'snapshots asked for, by status' });
    this.#values = meter.createCounter('ofp.values', { description: 'feature values served, missing ones among them' });
    this.#missing = meter.createCounter('ofp.values.missing', { description: 'feature values served as missing' });
    this.#records = meter.createCounter('ofp.records', { description: 'records of the bus, by what became of them' });
    this.#checkpoint = meter.createHistogram('ofp.checkpoint.duration', {
      description: 'How long a checkpoint took',
      unit: 's',
      advice: { explicitBucketBoundaries: DURATION_BUCKETS_S },
    });
    meter
      .createObservableGauge('ofp.lag', {
        description: 'records of a partition that were not applied yet, at the most',
      })
      .addCallback((result) => {
        for (const { topic, partition, next, highWater } of gauged.heads())
          result.observe(Math.max(0, highWater - next), { topic, partition });
      });
    meter
      .createObservableGauge('ofp.integrity_degraded', { description: 'runs with records that could not be used' })
      .addCallback((result) => result.observe([...gauged.runs].filter(({ invalid }) => invalid > 0).length));
    meter
      .createObservableGauge('ofp.events_held', { description: 'events that some window may still look at' })
      .addCallback((result) => result.observe([...gauged.runs].reduce((sum, run) => sum + run.state.size.events, 0)));
    meter
      .createObservableGauge('ofp.checkpoint.age', { description: 'since the last checkpoint', unit: 's' })
      .addCallback((result) => {
        if (gauged.checkpointAgeMs !== null) result.observe(gauged.checkpointAgeMs / 1_000);
      });
  }

  applied(applied: number, noop: number, invalid: number): void {
    if (applied > 0) this.#records.add(applied, { outcome: 'APPLIED' });
    if (noop > 0) this.#records.add(noop, { outcome: 'NOOP' });
    if (invalid > 0) this.#records.add(invalid, { outcome: 'INVALID' });
  }

  served(status: string, count: number, values: number, missing: number): void {
    if (count > 0) this.#snapshots.add(count, { status });
    if (values > 0) this.#values.add(values);
    if (missing > 0) this.#missing.add(missing);
  }

  saved(tookMs: number): void {
    this.#checkpoint.record(tookMs / 1_000);
  }
}
