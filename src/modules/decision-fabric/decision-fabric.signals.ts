import { Injectable } from '@nestjs/common';
import type { Counter, Histogram } from '@opentelemetry/api';
import type { RecordBatch } from '../../substrate/bus/bus.port.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { DURATION_BUCKETS_S } from '../../substrate/telemetry/golden-signals.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import type { Admitted } from './submission.js';

/** What the decision fabric tells the meters (law O3). */
@Injectable()
export class DecisionSignals {
  readonly #decisions: Counter;
  readonly #contexts: Counter;
  readonly #blocked: Counter;
  readonly #incidents: Counter;
  readonly #invalid: Counter;
  readonly #latency: Histogram;
  readonly #batch: Histogram;
  readonly #heads = new Map<number, { readonly next: number; readonly highWater: number }>();

  constructor(
    { meter }: Telemetry,
    private readonly clock: Clock,
  ) {
    this.#decisions = meter.createCounter('df.decisions', {
      description: 'decisions, by outcome and mode of the posture',
    });
    this.#contexts = meter.createCounter('df.contexts', { description: 'sources of context, by what became of them' });
    this.#blocked = meter.createCounter('df.blocked', { description: 'decisions in which the mask forbade something' });
    this.#incidents = meter.createCounter('df.incidents', { description: 'outputs that the gate quarantined' });
    this.#invalid = meter.createCounter('df.invalid', { description: 'records that nobody can read' });
    const duration = (name: string, description: string): Histogram =>
      meter.createHistogram(name, {
        description,
        unit: 's',
        advice: { explicitBucketBoundaries: DURATION_BUCKETS_S },
      });
    this.#latency = duration('df.decision.latency', 'From the append of an event to its decision on the bus');
    this.#batch = duration('df.batch.duration', 'How long a batch took');
    meter
      .createObservableGauge('df.lag', { description: 'records of a partition that were not judged yet, at the most' })
      .addCallback((result) => {
        for (const [partition, { next, highWater }] of this.#heads)
          result.observe(Math.max(0, highWater - next), { partition });
      });
  }

  batch(batch: RecordBatch, admitted: readonly Admitted[], tookMs: number): void {
    this.#heads.set(batch.partition, { next: batch.nextOffset, highWater: batch.highWater });
    if (admitted.length === 0) return;
    this.#batch.record(tookMs / 1_000);
    const appended = new Map(batch.records.map(({ offset, appendedAtMs }) => [offset, appendedAtMs]));
    const now = this.clock.nowMs();
    for (const { decision, trigger } of admitted) {
      const { outcome, posture, features, graph, reason_codes: reasons } = decision;
      this.#decisions.add(1, { outcome, mode: posture.mode });
      this.#contexts.add(1, { source: 'features', status: features.status });
      this.#contexts.add(1, { source: 'graph', status: graph.status });
      for (const reason of reasons)
        if (reason.startsWith('CAPABILITY_BLOCK:')) this.#blocked.add(1, { field: reason.slice(17) });
      const since = appended.get(trigger.offset);
      if (since !== undefined) this.#latency.record(Math.max(0, now - since) / 1_000);
    }
  }

  incidents(count: number): void {
    if (count > 0) this.#incidents.add(count);
  }

  invalid(count: number): void {
    if (count > 0) this.#invalid.add(count);
  }

  outcomesOf(admitted: readonly Admitted[]): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const { decision } of admitted) counts[decision.outcome] = (counts[decision.outcome] ?? 0) + 1;
    return counts;
  }
}
