import type { Counter } from '@opentelemetry/api';
import type { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import type { Counts } from './answers.core.js';

/** One stream as the gauges see it. */
export interface Gauged {
  readonly inFlight: number;
  /** Sealed rows that have no terminal receipt yet. */
  readonly cursorLag: number;
  /** Seconds between the wall clock and the world's; undefined before the first row. */
  readonly simBehindWallS: number | undefined;
}

/** What the producer tells the meters (law O3). Runs are in the log and the status, never in a series. */
export class StreamSignals {
  readonly #rows: Counter;
  readonly #retries: Counter;
  readonly #faults: Counter;

  constructor({ meter }: Telemetry, streams: () => Iterable<Gauged>) {
    this.#rows = meter.createCounter('wsp.rows', { description: 'rows with a terminal receipt, by outcome' });
    this.#retries = meter.createCounter('wsp.retries', {
      description: 'batches that are sent again, by what stopped them',
    });
    this.#faults = meter.createCounter('wsp.verification.failures', {
      description: 'artifacts that were refused: no PASS, other bytes, not there; by error code',
    });
    const gauge = (name: string, description: string, join: (each: readonly Gauged[]) => number): void =>
      meter.createObservableGauge(name, { description }).addCallback((result) => result.observe(join([...streams()])));
    const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);
    gauge('wsp.streams', 'streams that this process drives', (each) => each.length);
    gauge('wsp.in_flight', 'rows that were sent and not answered', (each) => total(each.map((s) => s.inFlight)));
    gauge('wsp.cursor.lag', 'rows without a terminal receipt', (each) => total(each.map((s) => s.cursorLag)));
    gauge('wsp.sim.behind_wall', 'seconds by which the world that is farthest back is behind the wall clock', (each) =>
      Math.max(0, ...each.map((s) => s.simBehindWallS ?? 0)),
    );
  }

  counted({ admitted, duplicate, quarantined }: Counts): void {
    if (admitted > 0) this.#rows.add(admitted, { outcome: 'ADMIT' });
    if (duplicate > 0) this.#rows.add(duplicate, { outcome: 'DUPLICATE' });
    if (quarantined > 0) this.#rows.add(quarantined, { outcome: 'QUARANTINE' });
  }

  retried(code: string): void {
    this.#retries.add(1, { 'error.type': code });
  }

  refused(code: string): void {
    this.#faults.add(1, { 'error.type': code });
  }
}
