import { Injectable } from '@nestjs/common';
import type { Counter } from '@opentelemetry/api';
import type { RecordBatch } from '../../substrate/bus/bus.port.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import type { Judged } from './actions-layer.store.js';

/** What the actions layer tells the meters (law O3). */
@Injectable()
export class ActionSignals {
  readonly #outcomes: Counter;
  readonly #intents: Counter;
  readonly #quarantined: Counter;
  readonly #heads = new Map<number, { readonly next: number; readonly highWater: number }>();

  constructor({ meter }: Telemetry) {
    this.#outcomes = meter.createCounter('al.outcomes', {
      description: 'what became of intents, by status, type and reason',
    });
    this.#intents = meter.createCounter('al.intents', { description: 'intents, by what they were found to be' });
    this.#quarantined = meter.createCounter('al.outcomes.quarantined', {
      description: 'outcomes that the gate refused',
    });
    meter
      .createObservableGauge('al.lag', {
        description: 'records of a partition that were not looked at yet, at the most',
      })
      .addCallback((result) => {
        for (const [partition, { next, highWater }] of this.#heads)
          result.observe(Math.max(0, highWater - next), { partition });
      });
  }

  batch(batch: RecordBatch, fresh: readonly Judged[], duplicates: number, conflicts: number, refused: number): void {
    this.#heads.set(batch.partition, { next: batch.nextOffset, highWater: batch.highWater });
    for (const [found, count] of Object.entries({
      NEW: fresh.length,
      DUPLICATE: duplicates,
      CONFLICT: conflicts,
      REFUSED: refused,
    }))
      if (count > 0) this.#intents.add(count, { found });
    for (const { made } of fresh) {
      const { status, action_type: type, reason_codes } = made.outcome;
      this.#outcomes.add(1, { status, type, reason: reason_codes[0] ?? 'none' });
    }
  }

  quarantined(): void {
    this.#quarantined.add(1);
  }

  outcomesOf(fresh: readonly Judged[]): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const { made } of fresh) {
      const name = `${made.outcome.action_type}:${made.outcome.status}`;
      counts[name] = (counts[name] ?? 0) + 1;
    }
    return counts;
  }
}
