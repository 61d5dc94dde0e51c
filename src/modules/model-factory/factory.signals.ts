import { Injectable } from '@nestjs/common';
import type { Counter, Histogram } from '@opentelemetry/api';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import type { RunKind, RunState } from './train-run.schema.js';

/** What the factory tells the meters (law O3). */
@Injectable()
export class FactorySignals {
  readonly #runs: Counter;
  readonly #rejects: Counter;
  readonly #retries: Counter;
  readonly #gates: Counter;
  readonly #stages: Histogram;
  #pending: Readonly<Record<string, number>> = {};

  constructor({ meter }: Telemetry) {
    this.#runs = meter.createCounter('mf.runs', { description: 'runs that ended, by kind and state' });
    this.#rejects = meter.createCounter('mf.rejects', { description: 'runs that were refused or failed, by code' });
    this.#retries = meter.createCounter('mf.retries', { description: 'tries that came to nothing, by state and code' });
    this.#gates = meter.createCounter('mf.gates', { description: 'bundles that were judged, by result' });
    this.#stages = meter.createHistogram('mf.stage.duration', { description: 'of a stage of a run', unit: 's' });
    meter
      .createObservableGauge('mf.pending', { description: 'runs that have not ended, by state' })
      .addCallback((result) => {
        for (const [state, count] of Object.entries(this.#pending)) result.observe(count, { state });
      });
  }

  ended(kind: RunKind, state: RunState, code: string | undefined): void {
    this.#runs.add(1, { kind, state });
    if (code !== undefined) this.#rejects.add(1, { code });
  }

  retried(state: RunState, code: string): void {
    this.#retries.add(1, { state, code });
  }

  judged(result: 'PASS' | 'FAIL'): void {
    this.#gates.add(1, { result });
  }

  took(stage: string, milliseconds: number): void {
    this.#stages.record(milliseconds / 1_000, { stage });
  }

  /** States without runs are told as 0, so that a gauge falls again. */
  pendingIs(counts: Readonly<Record<string, number>>): void {
    const none = Object.fromEntries(Object.keys(this.#pending).map((state) => [state, 0]));
    this.#pending = { ...none, ...counts };
  }
}
