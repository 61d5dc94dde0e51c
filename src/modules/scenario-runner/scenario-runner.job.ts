import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { isProbityError } from '../../rails/errors/probity-error.js';
import { About } from '../../substrate/about.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { RUN_PACE, type RunPace } from './run-pace.js';
import { RunSteps } from './run-steps.js';
import { RunMetrics } from './scenario-runner.metrics.js';
import { type Lease, LeaseLost, ScenarioRunnerStore } from './scenario-runner.store.js';

/**
 * Advances runs: those that were just requested at once, and every run that is not settled and that nobody advances, be it
 * that its process died or never began. One holder per run, by its lease.
 */
@Injectable()
export class ScenarioRunnerJob implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #holder: string;
  readonly #stop = new AbortController();
  readonly #runs = new Map<string, Promise<void>>();
  #loop: Promise<void> | undefined;

  constructor(
    private readonly store: ScenarioRunnerStore,
    private readonly steps: RunSteps,
    private readonly metrics: RunMetrics,
    private readonly telemetry: Telemetry,
    private readonly clock: Clock,
    @Inject(RUN_PACE) private readonly pace: RunPace,
    about: About,
  ) {
    // For people who read the record; the token alone decides who may write.
    this.#holder = `${hostname()}/${about.pid}/${randomUUID().slice(0, 8)}`;
  }

  onApplicationBootstrap(): void {
    this.#loop = this.#look();
  }

  /** Ends the steps under way and gives the leases back, so that another process goes on at once. */
  async onModuleDestroy(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
    await Promise.all(this.#runs.values());
  }

  /** Begins to advance a run, unless it is being advanced here or there is no room; the next look finds it then. */
  wake(runId: string): void {
    if (this.#stop.signal.aborted || this.#runs.has(runId) || this.#runs.size >= this.pace.runsMax) return;
    const run = this.#advance(runId)
      .catch((error: unknown) => this.#fault(runId, error))
      .finally(() => this.#runs.delete(runId));
    this.#runs.set(runId, run);
  }

  async #look(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        const room = this.pace.runsMax - this.#runs.size;
        for (const runId of room > 0 ? await this.store.idle(room) : []) this.wake(runId);
      } catch (error) {
        this.#fault('', error);
      }
      await this.clock.sleep(this.pace.idleMs, signal);
    }
  }

  async #advance(runId: string): Promise<void> {
    const lease = await this.store.acquire(runId, this.#holder, this.pace.leaseMs);
    if (lease === null) {
      this.metrics.leaseConflict('busy');
      await this.store.note(runId, { event: 'LEASE_BUSY', data: { holder: this.#holder } });
      return;
    }
    try {
      await this.#hold(lease);
      await this.store.release(lease);
    } catch (error) {
      if (!(error instanceof LeaseLost)) throw error;
      this.metrics.leaseConflict('lost');
      this.telemetry.logger.warn('run_lease_lost', { run_id: runId, token: lease.token });
      await this.store.note(runId, { event: 'LEASE_LOST', data: { holder: this.#holder, token: lease.token } });
    }
  }

  /** Steps until there are none left, somebody else has the lease, or the process stops. */
  async #hold(lease: Lease): Promise<void> {
    const { signal } = this.#stop;
    const { leaseMs, backOffMs, pollMaxMs } = this.pace;
    let renewedAtMs = this.clock.monotonicMs();
    let takenUp = false;
    let polls = 0;
    let faults = 0;
    while (!signal.aborted) {
      let waitMs: number;
      try {
        if (this.clock.monotonicMs() - renewedAtMs > leaseMs / 3) {
          await this.store.renew(lease, leaseMs);
          renewedAtMs = this.clock.monotonicMs();
        }
        let row = await this.store.find(lease.runId);
        if (row === null || row.settled) return;
        if (!takenUp) {
          await this.steps.takeUp(row, lease);
          takenUp = true;
          row = (await this.store.find(lease.runId)) ?? row;
        }
        waitMs = await this.steps.step(row, lease, polls);
        polls = waitMs > 0 ? polls + 1 : 0;
        faults = 0;
      } catch (error) {
        if (error instanceof LeaseLost) throw error;
        // What fails here says nothing about the run: a store, the bus or the database does not answer. It goes on later.
        this.#fault(lease.runId, error);
        if (faults === 0 && isBusFault(error)) await this.#noteUnpublished(lease, error);
        waitMs = Math.min(backOffMs * 2 ** Math.min(faults, 10), pollMaxMs);
        faults += 1;
      }
      if (waitMs > 0) await this.clock.sleep(waitMs, signal);
    }
  }

  /** Once per outage: the record is for people, the count for dashboards. */
  async #noteUnpublished(lease: Lease, error: unknown): Promise<void> {
    const code = isProbityError(error) ? error.code : 'INTERNAL';
    await this.store
      .note(lease.runId, { event: 'READY_PUBLISH_FAILED', data: { code } })
      .catch((cause: unknown) => this.#fault(lease.runId, cause));
  }

  #fault(runId: string, error: unknown): void {
    this.metrics.stepFailed();
    if (isBusFault(error)) this.metrics.publishRetry();
    this.telemetry.logger.warn('run_step_failed', {
      ...(runId === '' ? {} : { run_id: runId }),
      error: error instanceof Error ? error.message : String(error),
    });
  }
}

/** The bus is used for the signal alone. */
function isBusFault(error: unknown): boolean {
  return isProbityError(error) && error.code.startsWith('BUS_');
}
