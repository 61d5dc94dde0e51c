import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiBody, ApiOperation, ApiQuery, ApiTags } from '@nestjs/swagger';
import { validatorOf } from '../../../rails/validator.js';
import { Caller, RequirePermission } from '../../../substrate/http/principal.js';
import { CURSOR, cursorOf, demandBody, documented, LIMIT, limitOf } from '../../../substrate/http/requests.js';
import type { Principal } from '../../../substrate/identity/identity.port.js';
import { Objects } from '../../../substrate/objects/objects.port.js';
import { JobKinds } from './job-kind.js';
import { readReceipt } from './job.runner.js';
import { type JobAnswer, JobIntentSchema, type JobReceipt, type JobStatus } from './job.schema.js';
import { type JobStep, JobStore } from './job.store.js';
import { JobsService } from './jobs.service.js';

const intents = validatorOf(JobIntentSchema, 'the job');

@ApiTags('jobs')
@Controller('v1/jobs')
export class JobsController {
  constructor(
    private readonly jobs: JobsService,
    private readonly store: JobStore,
    private readonly kinds: JobKinds,
    private readonly objects: Objects,
  ) {}

  @Post()
  @HttpCode(202)
  @RequirePermission('ops.run')
  @ApiOperation({ summary: 'Declares a job', description: 'The same op_id again is the same job.' })
  @ApiBody({ schema: documented(JobIntentSchema) })
  async declare(@Body() body: unknown, @Caller() caller: Principal): Promise<JobAnswer> {
    return await this.jobs.declare(demandBody(intents, body), caller.actor);
  }

  @Get()
  @RequirePermission('ops.read')
  @ApiOperation({ summary: 'Jobs, youngest first, and the kinds that there are' })
  @ApiQuery(LIMIT)
  @ApiQuery(CURSOR)
  @ApiQuery({ name: 'kind', required: false, description: 'of this kind alone' })
  async list(@Query() { limit: limitText, cursor, kind }: Readonly<Record<string, string | undefined>>): Promise<{
    readonly jobs: readonly JobStatus[];
    readonly kinds: readonly object[];
    readonly next_cursor?: string;
  }> {
    const limit = limitOf(limitText);
    const before = cursorOf(cursor);
    const rows = await this.store.list({
      limit: limit + 1,
      ...(before === null ? {} : { before }),
      ...(kind === undefined ? {} : { kind }),
    });
    const last = rows[limit - 1];
    return {
      jobs: rows.slice(0, limit).map(({ job }) => job),
      kinds: this.kinds.list(),
      ...(rows.length > limit && last !== undefined ? { next_cursor: String(last.number) } : {}),
    };
  }

  @Get(':op_id')
  @RequirePermission('ops.read')
  @ApiOperation({ summary: 'Where a job stands, how it got there, and its receipt' })
  async show(@Param('op_id') opId: string): Promise<{
    readonly job: JobStatus;
    readonly steps: readonly JobStep[];
    readonly receipt?: JobReceipt;
  }> {
    const job = await this.jobs.status(opId);
    const steps = await this.store.steps(opId);
    const { receipt: ref } = job.detail;
    return { job, steps, ...(ref === undefined ? {} : { receipt: await readReceipt(this.objects, ref) }) };
  }

  @Post(':op_id/approve')
  @HttpCode(200)
  @RequirePermission('ops.approve')
  @ApiOperation({ summary: 'Lets a job run that somebody else declared' })
  async approve(@Param('op_id') opId: string, @Caller() caller: Principal): Promise<JobStatus> {
    return await this.jobs.approve(opId, caller.actor);
  }

  @Post(':op_id/cancel')
  @HttpCode(200)
  @RequirePermission('ops.run')
  @ApiOperation({ summary: 'Ends a job that nobody wants any more' })
  async cancel(@Param('op_id') opId: string, @Caller() caller: Principal): Promise<JobStatus> {
    return await this.jobs.cancel(opId, caller.actor);
  }
}
