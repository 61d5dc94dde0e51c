import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import type { Counter, Histogram } from '@opentelemetry/api';
import { canonicalJson, type JsonObject } from '../../../rails/canonical-json.js';
import { isProbityError, ProbityError } from '../../../rails/errors/probity-error.js';
import { ERRORS } from '../../../rails/errors/registry.js';
import { objectKey, type Ref } from '../../../rails/ref.js';
import { validatorOf } from '../../../rails/validator.js';
import { About } from '../../../substrate/about.js';
import { Clock } from '../../../substrate/clock/clock.port.js';
import { Rounds } from '../../../substrate/clock/rounds.js';
import { Cancelled, LeaseLost, workUnderLease } from '../../../substrate/lease/held-work.js';
import { Objects } from '../../../substrate/objects/objects.port.js';
import { Policies } from '../../../substrate/policy/policy.port.js';
import { Telemetry } from '../../../substrate/telemetry/telemetry.port.js';
import { type Lease, Leases } from '../leases.js';
import type { Told } from '../operation-facts.js';
import { JobKinds, JobWaits } from './job-kind.js';
import { hasEnded, type JobReceipt, JobReceiptSchema, type JobState, type JobStatus } from './job.schema.js';
import { JobStore, leaseName } from './job.store.js';
import { JOBS_POLICY } from './jobs.policy.js';

const LOOK_AGAIN_MS = 1_000;
const IDLE_MAX = 32;
export const JOB_LEASE_MS = 15_000;
/** A defect would be tried again for ever. */
const UNNAMED_MAX = 5;

const receipts = validatorOf(JobReceiptSchema, 'the receipt');

/**
 * Works on declared jobs, one at a time, each under its lease. The receipt stands before the last step is written; whoever finds a receipt without
 * that step writes the step and does nothing again.
 */
@Injectable()
export class JobRunner implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #rounds: Rounds;
  readonly #stop = new AbortController();
  readonly #ended: Counter;
  readonly #duration: Histogram;
  readonly #unnamed = new Map<string, number>();

  constructor(
    private readonly store: JobStore,
    private readonly kinds: JobKinds,
    private readonly leases: Leases,
    private readonly objects: Objects,
    private readonly policies: Policies,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
    private readonly about: About,
  ) {
    this.#rounds = new Rounds({
      clock,
      everyMs: LOOK_AGAIN_MS,
      round: () => this.round(),
      onFailure: (error) => telemetry.logger.warn('ops_job_interrupted', { detail: String(error) }),
    });
    this.#ended = telemetry.meter.createCounter('ops.jobs', {
      description: 'jobs that ended, by kind, state and code',
    });
    this.#duration = telemetry.meter.createHistogram('ops.job.duration', { description: 'of a job', unit: 's' });
  }

  onApplicationBootstrap(): void {
    this.#rounds.start();
  }

  /** Ends the job under way and gives its lease back, so that another process goes on at once. */
  async onModuleDestroy(): Promise<void> {
    this.#stop.abort(new Cancelled('the process is stopping'));
    await this.#rounds.stop();
  }

  wake(): void {
    this.#rounds.wake();
  }

  /** Takes one job to its end. One that cannot go on for now does not hold up those behind it. @returns 1 where there was one */
  async round(): Promise<number> {
    const { approved } = this.policies.inForce(JOBS_POLICY).body;
    for (const opId of await this.store.idle(approved, IDLE_MAX)) {
      try {
        if (await this.work(opId)) return 1;
      } catch (error) {
        if (!(error instanceof JobWaits))
          this.telemetry.logger.warn('ops_job_interrupted', { op_id: opId, detail: String(error) });
      }
    }
    return 0;
  }

  /** @returns false where somebody else works on it, or has ended it. @throws what may pass: it is taken up again */
  async work(opId: string): Promise<boolean> {
    const lease = await this.leases.acquire(leaseName(opId), JOB_LEASE_MS);
    if (lease === null) return false;
    const { clock, leases, store, telemetry } = this;
    return await workUnderLease(
      {
        ...{ clock, leaseMs: JOB_LEASE_MS, stop: this.#stop.signal },
        renew: async () => {
          await leases.renew(lease, JOB_LEASE_MS);
        },
        unwanted: async () => {
          const found = await store.find(opId);
          return found !== null && hasEnded(found.state) ? 'the job was cancelled' : null;
        },
        release: async () => {
          await leases.release(lease);
        },
        onLeft: ({ message: detail }) => telemetry.logger.warn('ops_job_left', { op_id: opId, detail }),
      },
      async (held) => await this.#steps(opId, lease, held),
    );
  }

  async #steps(opId: string, lease: Lease, signal: AbortSignal): Promise<boolean> {
    const job = await this.store.find(opId);
    if (job === null || hasEnded(job.state)) return false;
    const startedMs = this.clock.monotonicMs();
    const standing = await this.objects.head(receiptKey(opId));
    const receipt = standing ?? (await this.#put(job, await this.#outcome(job, lease, signal)));
    await this.#settle(job, lease, receipt, startedMs);
    return true;
  }

  async #outcome(
    job: JobStatus,
    lease: Lease,
    signal: AbortSignal,
  ): Promise<Pick<JobReceipt, 'outcome' | 'outputs' | 'verified' | 'fault'>> {
    let outputs: JsonObject | null = null;
    try {
      const kind = this.kinds.demand(job.kind, job.scope);
      await this.#to(job, lease, 'RUNNING');
      const work = { opId: job.op_id, signal };
      outputs = await kind.run(job.scope, work);
      signal.throwIfAborted();
      await this.#to(job, lease, 'VERIFYING');
      const verified = await kind.verify(job.scope, outputs, work);
      signal.throwIfAborted();
      return { outcome: 'COMPLETED', outputs, verified };
    } catch (error) {
      const reason: unknown = signal.reason;
      if (signal.aborted) throw reason instanceof Error ? reason : new Cancelled('the job was ended');
      if (error instanceof LeaseLost || error instanceof Cancelled || error instanceof JobWaits) throw error;
      return { outcome: 'FAILED', outputs, verified: null, fault: this.#finalFault(job.op_id, error) };
    }
  }

  /** @throws what may pass */
  #finalFault(opId: string, error: unknown): { readonly code: string; readonly says: string } {
    if (isProbityError(error) && !ERRORS[error.code].retryable) return { code: error.code, says: error.detail };
    if (isProbityError(error)) throw error;
    const count = (this.#unnamed.get(opId) ?? 0) + 1;
    this.#unnamed.set(opId, count);
    if (count < UNNAMED_MAX) throw error;
    this.#unnamed.delete(opId);
    this.telemetry.logger.error('ops_job_defect', { op_id: opId, detail: String(error) });
    return { code: 'INTERNAL', says: 'an internal error; the log names it' };
  }

  async #to(job: JobStatus, lease: Lease, state: JobState): Promise<void> {
    if (!(await this.store.advance(job.op_id, lease, state))) throw new Cancelled('the job was cancelled');
  }

  async #put(
    { op_id, kind, scope, purpose, declared_by, declared_at_utc }: JobStatus,
    found: Pick<JobReceipt, 'outcome' | 'outputs' | 'verified' | 'fault'>,
  ): Promise<Ref> {
    const receipt: JobReceipt = {
      ...{ op_id, kind, scope, purpose, declared_by, declared_at_utc, ...found },
      policy_rev: this.policies.inForce(JOBS_POLICY).policy_rev,
      component_version: this.about.version,
      ended_at_utc: this.store.now(),
    };
    const { ref } = await this.objects.putIfAbsent(receiptKey(op_id), Buffer.from(canonicalJson(receipt)), {
      mediaType: 'application/json',
    });
    return ref;
  }

  #told({ kind: name, scope }: JobStatus, { outputs, verified, fault }: JobReceipt): readonly Told[] {
    const kind = this.kinds.find(name);
    if (fault !== undefined) return kind?.tellsFailure?.(scope, fault) ?? [];
    return outputs === null || verified === null ? [] : (kind?.tells?.(outputs, verified) ?? []);
  }

  async #settle(job: JobStatus, lease: Lease, ref: Ref, startedMs: number): Promise<void> {
    const { op_id, kind } = job;
    const receipt = await readReceipt(this.objects, ref);
    const { outcome, fault } = receipt;
    const told = this.#told(job, receipt);
    if (!(await this.store.advance(op_id, lease, outcome, { receipt: ref, ...fault }, told))) return;
    this.#ended.add(1, { kind, state: outcome, code: fault?.code ?? 'none' });
    this.#duration.record((this.clock.monotonicMs() - startedMs) / 1_000, { kind, state: outcome });
    this.telemetry.logger.info('ops_job_ended', {
      ...{ op_id, kind, state: outcome },
      ...(fault === undefined ? {} : { code: fault.code }),
    });
  }
}

function receiptKey(opId: string): ReturnType<typeof objectKey> {
  return objectKey(`gov/jobs/${opId}/receipt.json`);
}

/** @throws OPS_RECEIPT_TAMPERED */
export async function readReceipt(objects: Objects, ref: Ref): Promise<JobReceipt> {
  try {
    return receipts.demand(JSON.parse((await objects.read(ref)).toString('utf8')));
  } catch (cause) {
    if (isProbityError(cause, 'OBJECTS_UNAVAILABLE')) throw cause;
    throw new ProbityError('OPS_RECEIPT_TAMPERED', `${ref.locator} is not the receipt that was written`, { cause });
  }
}
