import { Type } from '@sinclair/typebox';
import {
  JobAnswerSchema,
  type JobIntent,
  JobReceiptSchema,
  JobStatusSchema,
} from '../../modules/run-operate/jobs/job.schema.js';
import type { Sealed } from '../../rails/schema.js';
import { validatorOf } from '../../rails/validator.js';
import { type DoorApi, got, posted, queryOf } from './door-api.js';

const PageSchema = Type.Object({
  jobs: Type.Array(JobStatusSchema),
  kinds: Type.Array(Type.Object({ kind: Type.String(), summary: Type.String() })),
  next_cursor: Type.Optional(Type.String()),
});
const ShownSchema = Type.Object({
  job: JobStatusSchema,
  steps: Type.Array(
    Type.Object({ state: Type.String(), at: Type.String(), actor: Type.Object({ actor_id: Type.String() }) }),
  ),
  receipt: Type.Optional(JobReceiptSchema),
});

const readers = {
  answer: validatorOf(JobAnswerSchema, 'the answer'),
  status: validatorOf(JobStatusSchema, 'the job'),
  page: validatorOf(PageSchema, 'the page of jobs'),
  shown: validatorOf(ShownSchema, 'the job'),
};

export type JobsPage = Sealed<typeof PageSchema>;
export type ShownJob = Sealed<typeof ShownSchema>;
export type JobAnswer = Sealed<typeof JobAnswerSchema>;
export type JobStatus = Sealed<typeof JobStatusSchema>;

/** The routes of jobs. */
export class JobApi {
  constructor(private readonly door: DoorApi) {}

  /** Sent again it is the same job, so a lost answer is asked for again. */
  async declare(intent: JobIntent): Promise<JobAnswer> {
    return await this.door.ask('ops', { ...posted('/v1/jobs', intent), repeatable: true }, readers.answer);
  }

  async list(query: Readonly<Record<string, string | number | undefined>>): Promise<JobsPage> {
    return await this.door.ask('ops', got(`/v1/jobs${queryOf(query)}`), readers.page);
  }

  async show(opId: string): Promise<ShownJob> {
    return await this.door.ask('ops', got(`/v1/jobs/${encodeURIComponent(opId)}`), readers.shown);
  }

  async decide(opId: string, what: 'approve' | 'cancel'): Promise<JobStatus> {
    return await this.door.ask('ops', posted(`/v1/jobs/${encodeURIComponent(opId)}/${what}`, {}), readers.status);
  }
}
