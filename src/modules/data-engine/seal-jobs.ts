import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import type { Context } from '@opentelemetry/api';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Objects } from '../../substrate/objects/objects.port.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { EngineMetrics } from './data-engine.metrics.js';
import { type Invocation, type SealStatus, type WorldPins, worldPinsOf } from './data-engine.port.js';
import { sealWorld } from './sealing/seal-world.js';
import type { WorldSource } from './world-source.js';

/** Each takes a processor and some 40 MB while it runs. */
const JOBS_MAX = 2;

/** Attempts that ended badly and that nobody has asked about yet. */
const FAILURES_MAX = 100;

interface Job {
  readonly pins: WorldPins;
  readonly ended: Promise<void>;
  stage: string;
  rowsDone: number;
  shareDone: number | undefined;
}

/**
 * The worlds that this process is making, one job for each identity. Nothing about a job is stored: a sealed world is its own
 * record, and one that was not sealed is made again by whoever asks next, here or in another process.
 */
@Injectable()
export class SealJobs implements OnModuleDestroy {
  readonly #jobs = new Map<string, Job>();
  readonly #failures = new Map<string, ProbityError>();
  readonly #stop = new AbortController();

  constructor(
    private readonly objects: Objects,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
    private readonly metrics: EngineMetrics,
  ) {}

  /** How far the world is, where it is being made; how the attempt ended, once, where it ended badly. */
  status(pins: WorldPins): SealStatus | null {
    const job = this.#jobs.get(pins.manifest_fingerprint);
    if (job !== undefined) {
      const { stage, rowsDone, shareDone } = job;
      const share = shareDone === undefined ? {} : { share_done: Math.min(1, Math.max(0, shareDone)) };
      return { state: 'RUNNING', pins, stage, rows_done: rowsDone, ...share };
    }
    const error = this.#failures.get(pins.manifest_fingerprint);
    if (error === undefined) return null;
    this.#failures.delete(pins.manifest_fingerprint);
    const { code, detail, retryable } = error;
    return { state: 'FAILED', pins, stage: 'failed', rows_done: 0, error: { code, detail, retryable } };
  }

  /** Begins to make the world. @throws ProbityError ENGINE_BUSY, ENGINE_STOPPED */
  begin(invocation: Invocation, source: WorldSource, trace: Context): void {
    const pins = worldPinsOf(invocation);
    this.#stop.signal.throwIfAborted();
    if (this.#jobs.size >= JOBS_MAX) throw new ProbityError('ENGINE_BUSY', `${JOBS_MAX} worlds are being made`);
    const job: Job = { pins, stage: 'reading', rowsDone: 0, shareDone: undefined, ended: Promise.resolve() };
    this.#jobs.set(pins.manifest_fingerprint, Object.assign(job, { ended: this.#run(job, invocation, source, trace) }));
  }

  /** Ends what is under way, in order: the attempts stop at their next batch, and give their temporary files back. */
  async onModuleDestroy(): Promise<void> {
    this.#stop.abort(new ProbityError('ENGINE_STOPPED', 'the program stops'));
    await Promise.all([...this.#jobs.values()].map(({ ended }) => ended));
  }

  async #run(job: Job, invocation: Invocation, source: WorldSource, trace: Context): Promise<void> {
    const { kind } = source;
    const { logger } = this.telemetry;
    const startedAtMs = this.clock.monotonicMs();
    let stageStartedAtMs = startedAtMs;
    const enter = (stage: string): void => {
      const now = this.clock.monotonicMs();
      this.metrics.stage(kind, job.stage, now - stageStartedAtMs);
      stageStartedAtMs = now;
      job.stage = stage;
    };
    this.metrics.began();
    logger.info('world_begun', { ...job.pins, kind, trace });
    try {
      const { content, seal } = await this.telemetry.span('engine.seal', { parent: trace }, async () =>
        sealWorld({
          objects: this.objects,
          invocation,
          source,
          signal: this.#stop.signal,
          onProgress: (stage, rowsDone, shareDone) => {
            if (stage !== job.stage) enter(stage);
            job.rowsDone = rowsDone;
            job.shareDone = shareDone;
          },
        }),
      );
      enter('sealed');
      this.metrics.sealed(content);
      const { status, counts, reason_codes } = content;
      const tookMs = this.clock.monotonicMs() - startedAtMs;
      logger.info('world_sealed', {
        ...job.pins,
        status,
        reason_codes,
        ...counts,
        seal: seal.digest.hex,
        took_ms: tookMs,
        trace,
      });
    } catch (error) {
      this.metrics.failed(kind, error);
      logger.error('world_failed', { ...job.pins, kind, error, trace });
      this.#fail(job.pins, error);
    } finally {
      this.#jobs.delete(job.pins.manifest_fingerprint);
      this.metrics.ended();
    }
  }

  #fail({ manifest_fingerprint }: WorldPins, error: unknown): void {
    const told = isProbityError(error)
      ? error
      : new ProbityError('INTERNAL', 'the world could not be made; the log says why', { cause: error });
    this.#failures.set(manifest_fingerprint, told);
    const [oldest] = this.#failures.keys();
    if (this.#failures.size > FAILURES_MAX && oldest !== undefined) this.#failures.delete(oldest);
  }
}
