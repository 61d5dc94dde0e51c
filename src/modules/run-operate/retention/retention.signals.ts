import { Injectable } from '@nestjs/common';
import type { Counter } from '@opentelemetry/api';
import { Telemetry } from '../../../substrate/telemetry/telemetry.port.js';
import type { PlannedPartition } from './retention.planner.js';

/** What retention measures of itself. */
@Injectable()
export class RetentionSignals {
  readonly #trimmed: Counter;
  readonly #headroom = new Map<
    string,
    { readonly topic: string; readonly partition: number; readonly value: number }
  >();

  constructor({ meter }: Telemetry) {
    this.#trimmed = meter.createCounter('ops.retention.trimmed', {
      description: 'offsets that were taken away, per topic',
    });
    meter
      .createObservableGauge('ops.retention.headroom', {
        description: 'offsets between the oldest record and the first that somebody still needs, as of the last look',
      })
      .addCallback((result) => {
        for (const { topic, partition, value } of this.#headroom.values()) result.observe(value, { topic, partition });
      });
  }

  looked({ topic, partition, headroom }: PlannedPartition): void {
    this.#headroom.set(`${topic}/${partition}`, { topic, partition, value: headroom });
  }

  trimmed(topic: string, offsets: number): void {
    if (offsets > 0) this.#trimmed.add(offsets, { topic });
  }
}
