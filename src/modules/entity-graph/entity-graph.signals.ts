import type { Counter, Histogram } from '@opentelemetry/api';
import type { GraphState } from '../../rails/graph/graph-state.js';
import type { Clock } from '../../substrate/clock/clock.port.js';
import type { ProjectedRun } from '../../substrate/projection/runs.js';
import { DURATION_BUCKETS_S, GoldenSignals } from '../../substrate/telemetry/golden-signals.js';
import type { Telemetry } from '../../substrate/telemetry/telemetry.port.js';

/** What the gauges look at. */
export interface Gauged {
  readonly runs: Iterable<ProjectedRun<GraphState>>;
  heads(): Iterable<{
    readonly topic: string;
    readonly partition: number;
    readonly next: number;
    readonly highWater: number;
  }>;
  readonly checkpointAgeMs: number | null;
}

/** What the identity graph tells the meters (law O3). */
export class GraphSignals {
  readonly calls: GoldenSignals;
  readonly #contexts: Counter;
  readonly #records: Counter;
  readonly #checkpoint: Histogram;

  constructor({ meter }: Telemetry, clock: Clock, gauged: Gauged) {
    this.calls = new GoldenSignals({ meter, clock, name: 'ieg.contexts', of: 'calls for contexts' });
    this.#contexts = meter.createCounter('ieg.context.results', { description: 'contexts asked for, by status' });
    this.#records = meter.createCounter('ieg.records', { description: 'records of the bus, by what became of them' });
    this.#checkpoint = meter.createHistogram('ieg.checkpoint.duration', {
      description: 'How long a checkpoint took',
      unit: 's',
      advice: { explicitBucketBoundaries: DURATION_BUCKETS_S },
    });
    meter
      .createObservableGauge('ieg.lag', {
        description: 'records of a partition that were not applied yet, at the most',
      })
      .addCallback((result) => {
        for (const { topic, partition, next, highWater } of gauged.heads())
          result.observe(Math.max(0, highWater - next), { topic, partition });
      });
    meter
      .createObservableGauge('ieg.integrity_degraded', { description: 'runs with records that could not be used' })
      .addCallback((result) => result.observe([...gauged.runs].filter(({ invalid }) => invalid > 0).length));
    meter
      .createObservableGauge('ieg.identifiers', { description: 'identifiers that are known' })
      .addCallback((result) =>
        result.observe([...gauged.runs].reduce((sum, run) => sum + run.state.size.identifiers, 0)),
      );
    meter
      .createObservableGauge('ieg.checkpoint.age', { description: 'since the last checkpoint', unit: 's' })
      .addCallback((result) => {
        if (gauged.checkpointAgeMs !== null) result.observe(gauged.checkpointAgeMs / 1_000);
      });
  }

  applied(applied: number, noop: number, invalid: number): void {
    if (applied > 0) this.#records.add(applied, { outcome: 'APPLIED' });
    if (noop > 0) this.#records.add(noop, { outcome: 'IRRELEVANT_NOOP' });
    if (invalid > 0) this.#records.add(invalid, { outcome: 'INVALID_RECORDED' });
  }

  served(status: string, count: number): void {
    if (count > 0) this.#contexts.add(count, { status });
  }

  saved(tookMs: number): void {
    this.#checkpoint.record(tookMs / 1_000);
  }
}
