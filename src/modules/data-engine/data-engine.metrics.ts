import { Injectable } from '@nestjs/common';
import type { Counter, Histogram, UpDownCounter } from '@opentelemetry/api';
import { isProbityError } from '../../rails/errors/probity-error.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import type { WorldSeal } from './data-engine.port.js';

/** A small file takes some milliseconds, a world of a hundred million rows half an hour. */
const STAGE_BUCKETS_S = [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3_600];

/** What this unit shows of itself (law O3). */
@Injectable()
export class EngineMetrics {
  readonly #stages: Histogram;
  readonly #active: UpDownCounter;
  readonly #rows: Counter;
  readonly #rejected: Counter;
  readonly #gates: Counter;
  readonly #failures: Counter;

  constructor({ meter }: Telemetry) {
    this.#stages = meter.createHistogram('engine.stage.duration', {
      description: 'How long stages of making a world took',
      unit: 's',
      advice: { explicitBucketBoundaries: STAGE_BUCKETS_S },
    });
    this.#active = meter.createUpDownCounter('engine.worlds.active', { description: 'Worlds that are being made' });
    this.#rows = meter.createCounter('engine.rows', { description: 'Rows that were sealed, by output' });
    this.#rejected = meter.createCounter('engine.rows.rejected', {
      description: 'Rows of sources that could not be mapped, by reason',
    });
    this.#gates = meter.createCounter('engine.gates', { description: 'Verdicts of the output gate' });
    this.#failures = meter.createCounter('engine.seal.failures', {
      description: 'Attempts that ended without a seal, by code; ENGINE_NOT_DETERMINISTIC is the determinism check',
    });
  }

  began(): void {
    this.#active.add(1);
  }

  ended(): void {
    this.#active.add(-1);
  }

  stage(kind: 'import' | 'generate', stage: string, tookMs: number): void {
    this.#stages.record(tookMs / 1_000, { kind, stage });
  }

  sealed({ kind, outputs, counts, reason_codes }: WorldSeal): void {
    const status = reason_codes.length === 0 ? 'PASS' : 'FAIL';
    for (const { role, rows } of outputs) {
      this.#rows.add(rows, { kind, role });
      this.#gates.add(1, { status, reason: reason_codes[0] ?? 'none' });
    }
    for (const [reason, rows] of Object.entries(counts.rejected_by_reason)) this.#rejected.add(rows, { kind, reason });
  }

  failed(kind: 'import' | 'generate', error: unknown): void {
    this.#failures.add(1, { kind, code: isProbityError(error) ? error.code : 'INTERNAL' });
  }
}
