import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import type { BatchObservableResult } from '@opentelemetry/api';
import { Bus } from '../../substrate/bus/bus.port.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Policies } from '../../substrate/policy/policy.port.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { EdgeSource } from './edge-source.js';
import { EDGES_POLICY } from './producer-edges.policy.js';
import { ProducerEdgesService } from './producer-edges.service.js';
import { ProducerEdgesStore } from './producer-edges.store.js';
import { RunBindings } from './run-bindings.js';

/** Reads the topics that the policy names, from the start of the process to its end. */
@Injectable()
export class EdgeSources implements OnApplicationBootstrap, OnModuleDestroy {
  #sources: readonly EdgeSource[] = [];
  #unwatch: () => void = () => undefined;

  constructor(
    private readonly policies: Policies,
    private readonly bus: Bus,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
    private readonly store: ProducerEdgesStore,
    private readonly bindings: RunBindings,
    private readonly edges: ProducerEdgesService,
  ) {}

  onApplicationBootstrap(): void {
    const { bus, clock, telemetry, store, bindings, edges } = this;
    const parts = { bus, clock, telemetry, store, bindings, edges };
    this.#sources = this.policies.inForce(EDGES_POLICY).body.sources.map((source) => new EdgeSource(source, parts));
    for (const source of this.#sources) source.start();
    this.#watch();
  }

  async onModuleDestroy(): Promise<void> {
    this.#unwatch();
    await Promise.all(this.#sources.map((source) => source.stop()));
  }

  /** Lag and age of the watermark, per partition that is read here (law O3). */
  #watch(): void {
    const { meter } = this.telemetry;
    const lag = meter.createObservableGauge('edge.source.lag', {
      description: 'Records of a source that are still to be read, at most',
    });
    const age = meter.createObservableGauge('edge.source.watermark.age', {
      description: 'How long ago the bus took the youngest record that has been dealt with',
      unit: 's',
    });
    const observe = async (result: BatchObservableResult): Promise<void> => {
      for (const source of this.#sources) {
        // While the bus does not answer there is nothing to say; a metric must not fail the others.
        for (const standing of await source.standing().catch(() => [])) {
          const { producer, topic, partition, watermarkMs } = standing;
          result.observe(lag, standing.lag, { producer, topic, partition });
          if (watermarkMs === undefined) continue;
          result.observe(age, Math.max(0, this.clock.nowMs() - watermarkMs) / 1_000, { producer, topic, partition });
        }
      }
    };
    meter.addBatchObservableCallback(observe, [lag, age]);
    this.#unwatch = () => meter.removeBatchObservableCallback(observe, [lag, age]);
  }
}
