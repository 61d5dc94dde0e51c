import { Injectable } from '@nestjs/common';
import type { Counter, Histogram } from '@opentelemetry/api';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import type { RunReason } from './scenario-runner.port.js';
import type { Verdict } from './scenario-runner.core.js';

/** A world may take an hour: seconds from a tenth to the longest that a policy lets it take. */
const STAGE_BUCKETS_S = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600];

/** What this unit shows of itself (law O3). */
@Injectable()
export class RunMetrics {
  readonly #ended: Counter;
  readonly #stage: Histogram;
  readonly #worlds: Counter;
  readonly #conflicts: Counter;
  readonly #retries: Counter;
  readonly #faults: Counter;

  constructor({ meter }: Telemetry) {
    this.#ended = meter.createCounter('sr.runs.ended', { description: 'Runs that ended, by state and reason' });
    this.#stage = meter.createHistogram('sr.stage.duration', {
      description: 'How long stages of a run took: engine, evidence, and the whole from request to end',
      unit: 's',
      advice: { explicitBucketBoundaries: STAGE_BUCKETS_S },
    });
    this.#worlds = meter.createCounter('sr.worlds', { description: 'Worlds that runs took, reused or made' });
    this.#conflicts = meter.createCounter('sr.lease.conflicts', {
      description: 'Leases that another worker held or took over',
    });
    this.#retries = meter.createCounter('sr.ready.publish_retries', {
      description: 'READY signals that could not be published and are sent again',
    });
    this.#faults = meter.createCounter('sr.steps.failed', {
      description: 'Steps that failed for a reason outside the run and are taken again',
    });
  }

  ended(state: Verdict, reasons: readonly RunReason[], tookMs: number): void {
    this.#ended.add(1, { state, reason: reasons[0] ?? 'none' });
    this.stage('run', tookMs);
  }

  stage(stage: 'engine' | 'evidence' | 'run', tookMs: number): void {
    this.#stage.record(Math.max(0, tookMs) / 1_000, { stage });
  }

  world(how: 'reused' | 'made'): void {
    this.#worlds.add(1, { how });
  }

  leaseConflict(how: 'busy' | 'lost'): void {
    this.#conflicts.add(1, { how });
  }

  publishRetry(): void {
    this.#retries.add(1);
  }

  stepFailed(): void {
    this.#faults.add(1);
  }
}
