import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import type { Counter, Histogram } from '@opentelemetry/api';
import type { Digest } from '../../rails/digest.js';
import { isProbityError, type ProbityError } from '../../rails/errors/probity-error.js';
import { ERRORS } from '../../rails/errors/registry.js';
import { About } from '../../substrate/about.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Cancelled, LeaseLost, workUnderLease } from '../../substrate/lease/held-work.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { BuildPace } from './build-pace.js';
import { DatasetBuild } from './dataset-build.js';
import { DatasetObjects } from './dataset-reader.js';
import type { BuildDetail, BuildState, BuildStatus, Built, Parity } from './dataset.schema.js';
import { hasEnded, type Lease, OfflineFeatureShadowStore } from './offline-feature-shadow.store.js';

/** Failures of another kind than the named ones may pass; after so many in a row the build has failed. */
const UNNAMED_MAX = 5;

/**
 * Works on builds, one at a time: those that were just requested at once, and any that has not ended and that nobody works on, be it that its process died. One
 * holder per build, by its lease; every step is written under it.
 */
@Injectable()
export class BuildJobs implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #holder: string;
  readonly #stop = new AbortController();
  readonly #ended: Counter;
  readonly #duration: Histogram;
  readonly #replayed: Counter;
  readonly #parity: Counter;
  #loop: Promise<void> | undefined;
  #bell = new AbortController();

  constructor(
    private readonly store: OfflineFeatureShadowStore,
    private readonly build: DatasetBuild,
    private readonly datasets: DatasetObjects,
    private readonly pace: BuildPace,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
    about: About,
  ) {
    // For people who read the record; the token alone decides who may write.
    this.#holder = `${hostname()}/${about.pid}/${randomUUID().slice(0, 8)}`;
    const { meter } = telemetry;
    this.#ended = meter.createCounter('ofs.builds', { description: 'Builds that ended, by kind, state and code' });
    this.#duration = meter.createHistogram('ofs.build.duration', { description: 'Of a build', unit: 's' });
    this.#replayed = meter.createCounter('ofs.replayed', { description: 'Records that were replayed, by source' });
    this.#parity = meter.createCounter('ofs.parity', { description: 'Decisions that were rebuilt, by outcome' });
  }

  onApplicationBootstrap(): void {
    this.#loop = this.#look();
  }

  /** Ends the build under way and gives its lease back, so that another process goes on at once. */
  async onModuleDestroy(): Promise<void> {
    this.#stop.abort(new Cancelled('the process is stopping'));
    this.#bell.abort();
    await this.#loop;
  }

  /** Something was put in the queue. */
  wake(): void {
    this.#bell.abort();
  }

  async #look(): Promise<void> {
    const { signal } = this.#stop;
    let faults = 0;
    while (!signal.aborted) {
      this.#bell = new AbortController();
      let worked = false;
      try {
        for (const planId of await this.store.idle(1)) worked = await this.advance(planId, signal);
        faults = worked ? 0 : faults;
      } catch (error) {
        faults += 1;
        this.telemetry.logger.warn('ofs_build_interrupted', {
          detail: error instanceof Error ? error.message : String(error),
        });
      }
      if (worked) continue;
      const { idleMs, backOffMs, backOffMaxMs } = this.pace;
      const waitMs = faults === 0 ? idleMs : Math.min(backOffMs * 2 ** Math.min(faults, 10), backOffMaxMs);
      await this.clock.sleep(waitMs, this.#bell.signal);
    }
  }

  /**
   * Takes a build as far as it goes.
   * @returns false where somebody else works on it, or has taken it over
   * @throws what may pass: it is taken up again later
   */
  async advance(planId: Digest, signal: AbortSignal): Promise<boolean> {
    const lease = await this.store.acquire(planId, this.#holder, this.pace.leaseMs);
    if (lease === null) return false;
    const { clock, store, pace, telemetry } = this;
    return await workUnderLease(
      {
        ...{ clock, leaseMs: pace.leaseMs, stop: signal },
        renew: async () => {
          await store.renew(lease, pace.leaseMs);
        },
        unwanted: async () => {
          const found = await store.find(planId);
          return found !== null && hasEnded(found.state) ? 'the build was cancelled' : null;
        },
        release: async () => {
          await store.release(lease);
        },
        onLeft: ({ message: detail }) =>
          telemetry.logger.warn('ofs_build_left', { dataset_manifest_id: planId, detail }),
      },
      async (held) => {
        await this.#steps(lease, held);
        return true;
      },
    );
  }

  async #steps(lease: Lease, signal: AbortSignal): Promise<void> {
    const found = await this.store.find(lease.planId);
    if (found === null || hasEnded(found.state)) return;
    const startedMs = this.clock.monotonicMs();
    try {
      const [state, detail] = await this.#made(lease, found, signal);
      await this.#settle(lease, found, state, detail, startedMs);
    } catch (error) {
      if (!isFinal(error)) {
        await this.#countUnnamed(lease, found, error, startedMs);
        throw error;
      }
      const { code, detail: says, data } = error;
      const parity = data['parity'] as Parity | undefined;
      if (parity !== undefined) this.#tellParity(parity);
      const detail = { code, says, ...(parity === undefined ? {} : { parity }) };
      await this.#settle(lease, found, 'FAILED', detail, startedMs);
    }
  }

  async #made(lease: Lease, { plan }: BuildStatus, signal: AbortSignal): Promise<readonly [BuildState, BuildDetail]> {
    const { planId } = lease;
    let built = await this.store.built(planId);
    if (built === null) {
      await this.#to(lease, 'PINNING');
      await this.#to(lease, 'RUNNING');
      built = await this.build.make(planId, plan, signal);
      await this.store.keepBuilt(lease, built);
      this.#tell(built);
    }
    if (plan.kind === 'parity_rebuild' && built.parity.outcome !== 'MATCH')
      return ['UNCHECKABLE', { parity: built.parity }];
    await this.#to(lease, 'PUBLISH_PENDING');
    const manifest = await this.datasets.publish(planId, plan, built);
    return ['DONE', { manifest, parity: built.parity }];
  }

  async #to(lease: Lease, state: BuildState): Promise<void> {
    if (!(await this.store.advance(lease, state))) throw new Cancelled('the build was cancelled');
  }

  async #settle(
    lease: Lease,
    { kind, run_id }: BuildStatus,
    state: BuildState,
    detail: BuildDetail,
    startedMs: number,
  ): Promise<void> {
    if (!(await this.store.advance(lease, state, detail))) return;
    const seconds = (this.clock.monotonicMs() - startedMs) / 1_000;
    this.#ended.add(1, { kind, state, code: detail.code ?? 'none' });
    this.#duration.record(seconds, { kind, state });
    this.telemetry.logger.info('ofs_build_ended', {
      ...{ dataset_manifest_id: lease.planId, run_id, kind, state },
      ...(detail.code === undefined ? {} : { code: detail.code }),
    });
  }

  readonly #unnamed = new Map<Digest, number>();

  /** A defect would be tried again for ever. */
  async #countUnnamed(lease: Lease, found: BuildStatus, error: unknown, startedMs: number): Promise<void> {
    if (isProbityError(error) || error instanceof LeaseLost || error instanceof Cancelled) return;
    const count = (this.#unnamed.get(lease.planId) ?? 0) + 1;
    this.#unnamed.set(lease.planId, count);
    if (count < UNNAMED_MAX) return;
    this.#unnamed.delete(lease.planId);
    const says = error instanceof Error ? error.message.slice(0, 500) : 'unknown';
    await this.#settle(lease, found, 'FAILED', { code: 'INTERNAL', says }, startedMs);
  }

  #tell({ ranges, parity }: Built): void {
    for (const { source, records_read } of ranges) this.#replayed.add(records_read, { source });
    this.#tellParity(parity);
  }

  #tellParity({ match, mismatch, uncheckable }: Parity): void {
    this.#parity.add(match, { outcome: 'MATCH' });
    this.#parity.add(mismatch, { outcome: 'MISMATCH' });
    for (const [why, count] of Object.entries(uncheckable)) this.#parity.add(count, { outcome: 'UNCHECKABLE', why });
  }
}

/** What trying again does not change. */
function isFinal(error: unknown): error is ProbityError {
  return isProbityError(error) && !ERRORS[error.code].retryable;
}
