import { Injectable } from '@nestjs/common';
import type { Counter, Histogram } from '@opentelemetry/api';
import type { TopicPartition } from '../../../substrate/bus/bus.port.js';
import { Telemetry } from '../../../substrate/telemetry/telemetry.port.js';
import type { Chunk } from './chunk.core.js';

/** What the archive tells the meters (law O3). */
@Injectable()
export class ArchiveSignals {
  readonly #records: Counter;
  readonly #stored: Counter;
  readonly #chunks: Counter;
  readonly #gaps: Counter;
  readonly #failures: Counter;
  readonly #writing: Histogram;
  readonly #lag = new Map<string, { readonly at: TopicPartition; readonly behind: number }>();

  constructor({ meter }: Telemetry) {
    this.#records = meter.createCounter('ops.archive.records', { description: 'records that were archived' });
    this.#stored = meter.createCounter('ops.archive.stored', { unit: 'By', description: 'bytes of chunks' });
    this.#chunks = meter.createCounter('ops.archive.chunks', { description: 'chunks that were written' });
    this.#gaps = meter.createCounter('ops.archive.gaps', {
      description: 'stretches that the bus no longer had when they were to be archived',
    });
    this.#failures = meter.createCounter('ops.archive.failures', { description: 'rounds that failed, by code' });
    this.#writing = meter.createHistogram('ops.archive.write.duration', {
      unit: 'ms',
      description: 'of a chunk, from its first read to its row in the index',
    });
    meter
      .createObservableGauge('ops.archive.lag', {
        description: 'records of a partition that are not archived yet, at the most',
      })
      .addCallback((result) => {
        for (const { at, behind } of this.#lag.values())
          result.observe(behind, { topic: at.topic, partition: at.partition });
      });
  }

  behind(at: TopicPartition, offsets: number): void {
    this.#lag.set(`${at.topic}/${at.partition}`, { at, behind: Math.max(0, offsets) });
  }

  written({ topic, records, ref }: Chunk, tookMs: number): void {
    this.#records.add(records, { topic });
    this.#stored.add(ref.size, { topic });
    this.#chunks.add(1, { topic });
    this.#writing.record(tookMs, { topic });
  }

  gap({ topic, partition }: TopicPartition): void {
    this.#gaps.add(1, { topic, partition });
  }

  failed(code: string): void {
    this.#failures.add(1, { code });
  }
}
