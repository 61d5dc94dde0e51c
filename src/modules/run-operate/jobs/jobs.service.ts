import { Injectable } from '@nestjs/common';
import type { Actor } from '../../../rails/actor.js';
import { ProbityError } from '../../../rails/errors/probity-error.js';
import { Policies } from '../../../substrate/policy/policy.port.js';
import { JobKinds } from './job-kind.js';
import { JobRunner } from './job.runner.js';
import { type JobAnswer, type JobIntent, jobIntentDigest, type JobStatus } from './job.schema.js';
import { JobStore } from './job.store.js';
import { JOBS_POLICY } from './jobs.policy.js';

/** Takes declarations, once per op_id, and what people decide about them. */
@Injectable()
export class JobsService {
  constructor(
    private readonly store: JobStore,
    private readonly kinds: JobKinds,
    private readonly runner: JobRunner,
    private readonly policies: Policies,
  ) {}

  /** @throws OPS_JOB_INVALID, OPS_JOB_CONFLICT */
  async declare(intent: JobIntent, actor: Actor): Promise<JobAnswer> {
    this.kinds.demand(intent.kind, intent.scope);
    const digest = jobIntentDigest(intent);
    const standing = await this.store.declare({ intent, digest, actor });
    if (standing !== null && standing !== digest)
      throw new ProbityError('OPS_JOB_CONFLICT', 'something else was declared under this op_id');
    this.runner.wake();
    return { outcome: standing === null ? 'ACCEPTED' : 'DUPLICATE', job: await this.status(intent.op_id) };
  }

  /** @throws OPS_JOB_NOT_FOUND */
  async status(opId: string): Promise<JobStatus> {
    const found = await this.store.find(opId);
    if (found !== null) return found;
    throw new ProbityError('OPS_JOB_NOT_FOUND', 'nobody declared a job of this op_id');
  }

  /** @throws OPS_JOB_NOT_FOUND, OPS_JOB_APPROVER, OPS_JOB_STATE */
  async approve(opId: string, actor: Actor): Promise<JobStatus> {
    const { declared_by, kind } = await this.status(opId);
    if (!this.policies.inForce(JOBS_POLICY).body.approved.includes(kind))
      throw new ProbityError('OPS_JOB_STATE', `jobs of the kind ${kind} need no approval`);
    if (declared_by.actor_id === actor.actor_id)
      throw new ProbityError('OPS_JOB_APPROVER', 'who declared the job does not approve it');
    if (!(await this.store.step(opId, ['DECLARED'], 'APPROVED', actor)))
      throw new ProbityError('OPS_JOB_STATE', 'the job does not wait for an approval');
    this.runner.wake();
    return await this.status(opId);
  }

  /** @throws OPS_JOB_NOT_FOUND, OPS_JOB_STATE */
  async cancel(opId: string, actor: Actor): Promise<JobStatus> {
    await this.status(opId);
    if (!(await this.store.step(opId, ['DECLARED', 'APPROVED', 'RUNNING', 'VERIFYING'], 'ABORTED', actor)))
      throw new ProbityError('OPS_JOB_STATE', 'the job has ended already');
    return await this.status(opId);
  }
}
