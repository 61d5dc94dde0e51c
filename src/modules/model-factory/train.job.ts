import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import type { Digest } from '../../rails/digest.js';
import { About } from '../../substrate/about.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Rounds } from '../../substrate/clock/rounds.js';
import { Cancelled, LeaseLost, workUnderLease } from '../../substrate/lease/held-work.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { FactoryPace } from './factory-pace.js';
import { FactorySignals } from './factory.signals.js';
import { type Lease, ModelFactoryStore } from './model-factory.store.js';
import { saysOf, TrainRun } from './train-run.js';
import { backOffMs, consequenceOf, hasEnded } from './train-run.core.js';
import type { RunDetail, RunState, RunStatus } from './train-run.schema.js';

/**
 * Works on runs, one at a time: those that were just requested at once, and any that is due and that nobody works on, be it that its process died. One
 * holder per run, by its lease; every step is written under it.
 */
@Injectable()
export class TrainJobs implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #holder: string;
  readonly #stop = new AbortController();
  readonly #rounds: Rounds;

  constructor(
    private readonly store: ModelFactoryStore,
    private readonly run: TrainRun,
    private readonly pace: FactoryPace,
    private readonly clock: Clock,
    private readonly signals: FactorySignals,
    private readonly telemetry: Telemetry,
    about: About,
  ) {
    // For people who read the record; the token alone decides who may write.
    this.#holder = `${hostname()}/${about.pid}/${randomUUID().slice(0, 8)}`;
    this.#rounds = new Rounds({
      clock,
      everyMs: pace.idleMs,
      round: () => this.round(),
      onFailure: (error) => telemetry.logger.warn('mf_round_failed', { detail: saysOf(error) }),
    });
  }

  onApplicationBootstrap(): void {
    this.#rounds.start();
  }

  /** Ends the work under way and gives its lease back, so that another process goes on at once. */
  async onModuleDestroy(): Promise<void> {
    this.#stop.abort(new Cancelled('the process is stopping'));
    await this.#rounds.stop();
  }

  /** Something was put in the queue. */
  wake(): void {
    this.#rounds.wake();
  }

  /** The run that waits longest. @returns how many were worked on */
  async round(): Promise<number> {
    if (this.#stop.signal.aborted) return 0;
    this.signals.pendingIs(await this.store.pending());
    let worked = 0;
    for (const runId of await this.store.idle(1)) worked += (await this.advance(runId, this.#stop.signal)) ? 1 : 0;
    return worked;
  }

  /**
   * Takes a run as far as it goes; what may pass puts off the next try.
   * @returns false where somebody else works on it, or has taken it over
   */
  async advance(runId: Digest, signal: AbortSignal): Promise<boolean> {
    const lease = await this.store.acquire(runId, this.#holder, this.pace.leaseMs);
    if (lease === null) return false;
    const { clock, store, pace, telemetry } = this;
    return await workUnderLease(
      {
        ...{ clock, leaseMs: pace.leaseMs, stop: signal },
        renew: async () => {
          await store.renew(lease, pace.leaseMs);
        },
        unwanted: async () => {
          const found = await store.find(runId);
          return found !== null && hasEnded(found.state) ? 'the run was cancelled' : null;
        },
        release: async () => {
          await store.release(lease);
        },
        onLeft: ({ message: detail }) => telemetry.logger.warn('mf_run_left', { train_run_id: runId, detail }),
      },
      async (held) => {
        await this.#work(lease, held);
        return true;
      },
    );
  }

  async #work(lease: Lease, signal: AbortSignal): Promise<void> {
    const run = await this.store.find(lease.runId);
    if (run === null || run.at_rest) return;
    try {
      const end = await this.run.carryOut(lease, run, signal);
      if (end !== null) await this.#settle(lease, run, ...end);
    } catch (error) {
      if (error instanceof LeaseLost || error instanceof Cancelled) throw error;
      await this.#failed(lease, error);
    }
  }

  async #failed(lease: Lease, error: unknown): Promise<void> {
    const run = await this.store.find(lease.runId);
    if (run === null) return;
    const { state, tries } = run;
    const next = consequenceOf(error, state, tries, this.pace.triesMax);
    const says = saysOf(error);
    if (next.kind === 'end') {
      await this.#settle(lease, run, next.state, { code: next.code, says });
      return;
    }
    this.signals.retried(state, next.code);
    await this.store.postpone(lease, next.code, backOffMs(tries, this.pace.backOffMs, this.pace.backOffMaxMs));
    this.telemetry.logger.warn('mf_run_put_off', {
      ...{ train_run_id: lease.runId, state, code: next.code, tries: tries + 1, detail: says },
    });
  }

  async #settle(lease: Lease, { kind, plan }: RunStatus, state: RunState, detail: RunDetail): Promise<void> {
    if (!(await this.store.advance(lease, state, detail))) return;
    this.signals.ended(kind, state, detail.code);
    this.telemetry.logger.info('mf_run_ended', {
      ...{ train_run_id: lease.runId, kind, slot: plan.slot, state },
      ...(detail.code === undefined ? {} : { code: detail.code }),
    });
  }
}
