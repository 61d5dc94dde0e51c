import { Injectable } from '@nestjs/common';
import type { Counter, Histogram } from '@opentelemetry/api';
import type { RecordBatch } from '../../substrate/bus/bus.port.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import type { Leaf } from './leaf.core.js';

/** What the audit log tells the meters (law O3). */
@Injectable()
export class AuditSignals {
  readonly #records: Counter;
  readonly #quarantined: Counter;
  readonly #failures: Counter;
  readonly #writing: Histogram;
  readonly #heads = new Map<number, { readonly next: number; readonly highWater: number }>();
  #size = 0;
  #signedAtMs: number | undefined;

  constructor({ meter }: Telemetry, clock: Clock) {
    this.#records = meter.createCounter('dla.records', { description: 'leaves of the audit log, by kind' });
    this.#quarantined = meter.createCounter('dla.records.quarantined', {
      description: 'records that do not say what they came from, by reason',
    });
    this.#failures = meter.createCounter('dla.write.failures', {
      description: 'checkpoints that could not be written',
    });
    this.#writing = meter.createHistogram('dla.write.duration', {
      unit: 'ms',
      description: 'from the first object of a checkpoint to its signature',
    });
    meter
      .createObservableGauge('dla.lag', {
        description: 'records of a partition that are no leaves yet, at the most',
      })
      .addCallback((result) => {
        for (const [partition, { next, highWater }] of this.#heads)
          result.observe(Math.max(0, highWater - next), { partition });
      });
    meter
      .createObservableGauge('dla.tree.size', { description: 'leaves under the newest checkpoint' })
      .addCallback((result) => result.observe(this.#size));
    meter
      .createObservableGauge('dla.checkpoint.age', { unit: 'ms', description: 'since this process signed last' })
      .addCallback((result) => {
        if (this.#signedAtMs !== undefined) result.observe(clock.monotonicMs() - this.#signedAtMs);
      });
  }

  logged(batch: RecordBatch, leaves: readonly Leaf[]): void {
    this.#heads.set(batch.partition, { next: batch.nextOffset, highWater: batch.highWater });
    const kinds: Record<string, number> = {};
    for (const { kind, reasons } of leaves) {
      kinds[kind] = (kinds[kind] ?? 0) + 1;
      for (const reason of reasons) this.#quarantined.add(1, { reason });
    }
    for (const [kind, count] of Object.entries(kinds)) this.#records.add(count, { kind });
  }

  signed(size: number, tookMs: number, atMs: number): void {
    this.#size = size;
    this.#signedAtMs = atMs;
    this.#writing.record(tookMs);
  }

  failed(): void {
    this.#failures.add(1);
  }
}
