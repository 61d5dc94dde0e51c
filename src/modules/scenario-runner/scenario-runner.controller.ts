import { Body, Controller, Get, HttpCode, Param, Post, Query, Req } from '@nestjs/common';
import {
  ApiBody,
  ApiOkResponse,
  ApiOperation,
  ApiAcceptedResponse,
  ApiParam,
  ApiQuery,
  ApiTags,
} from '@nestjs/swagger';
import { ROOT_CONTEXT } from '@opentelemetry/api';
import type { FastifyRequest } from 'fastify';
import { type Validator, validatorOf } from '../../rails/validator.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Caller, RequirePermission } from '../../substrate/http/principal.js';
import { documented } from '../../substrate/http/requests.js';
import { contextOf } from '../../substrate/http/telemetry.hooks.js';
import type { Principal } from '../../substrate/identity/identity.port.js';
import type { CallContext } from '../../substrate/rpc/rpc.port.js';
import type { RunEvent } from './scenario-runner.documents.js';
import {
  LiveWorldSchema,
  type RunFactsView,
  RunFactsViewSchema,
  RunQuery,
  type RunRequest,
  RunRequestSchema,
  RunsPage,
  RunsQuery,
  type RunStatus,
  RunStatusSchema,
} from './scenario-runner.port.js';
import { ScenarioRunnerService } from './scenario-runner.service.js';
import { GenerateInvocationSchema, ImportInvocationSchema } from '../data-engine/data-engine.port.js';

const requests = validatorOf(RunRequestSchema, 'the request');
const queries = validatorOf(RunQuery, 'the path');
const pages = validatorOf(RunsQuery, 'the query');
const worlds: Readonly<Record<string, Validator<unknown>>> = {
  import: validatorOf(ImportInvocationSchema, 'the world'),
  generate: validatorOf(GenerateInvocationSchema, 'the world'),
  live: validatorOf(LiveWorldSchema, 'the world'),
};

/** An answer may take this long; nothing here waits for a world. */
const ANSWER_MS = 10_000;

const RUN_ID = { name: 'run_id', description: 'The run, as 32 hex digits' };

@ApiTags('runs')
@Controller('v1/runs')
export class ScenarioRunnerController {
  constructor(
    private readonly runner: ScenarioRunnerService,
    private readonly clock: Clock,
  ) {}

  @Post()
  @HttpCode(202)
  @RequirePermission('sr.request')
  @ApiOperation({ summary: 'Requests a run, once per equivalence key; the same request again gives its status' })
  @ApiBody({ schema: documented(RunRequestSchema) })
  @ApiAcceptedResponse({ schema: documented(RunStatusSchema) })
  async request(@Body() body: unknown, @Caller() caller: Principal, @Req() http: FastifyRequest): Promise<RunStatus> {
    return await this.runner.request(requestIn(body) as never, this.#context(caller, http));
  }

  @Get()
  @RequirePermission('sr.read')
  @ApiOperation({ summary: 'The runs, youngest first' })
  @ApiQuery({ name: 'limit', required: false, schema: { type: 'integer', minimum: 1, maximum: 200, default: 50 } })
  @ApiQuery({ name: 'cursor', required: false, description: 'next_cursor of the page before' })
  @ApiQuery({ name: 'state', required: false, schema: documented(RunsQuery.properties.state) })
  @ApiOkResponse({ schema: documented(RunsPage) })
  async list(
    @Query() query: Readonly<Record<string, string>>,
    @Caller() caller: Principal,
    @Req() http: FastifyRequest,
  ): Promise<unknown> {
    const { limit = '50', ...rest } = query;
    const asked = pages.demand({ ...rest, limit: /^[0-9]{1,3}$/.test(limit) ? Number(limit) : limit });
    return await this.runner.runs(asked, this.#context(caller, http));
  }

  @Get(':run_id')
  @RequirePermission('sr.read')
  @ApiOperation({ summary: 'Status of a run' })
  @ApiParam(RUN_ID)
  @ApiOkResponse({ schema: documented(RunStatusSchema) })
  async status(
    @Param('run_id') runId: string,
    @Caller() caller: Principal,
    @Req() http: FastifyRequest,
  ): Promise<RunStatus> {
    return await this.runner.run({ run_id: runIn(runId) }, this.#context(caller, http));
  }

  @Get(':run_id/facts')
  @RequirePermission('sr.read')
  @ApiOperation({ summary: 'The facts view of a run that is ready: pins, sealed outputs, receipts, declared traffic' })
  @ApiParam(RUN_ID)
  @ApiOkResponse({ schema: documented(RunFactsViewSchema) })
  async facts(@Param('run_id') runId: string): Promise<RunFactsView> {
    return await this.runner.facts(runIn(runId));
  }

  @Get(':run_id/record')
  @RequirePermission('sr.read')
  @ApiOperation({ summary: 'What happened to a run, in order' })
  @ApiParam(RUN_ID)
  async record(@Param('run_id') runId: string): Promise<{ readonly events: readonly RunEvent[] }> {
    return { events: await this.runner.events(runIn(runId)) };
  }

  #context(caller: Principal, http: FastifyRequest): CallContext {
    return {
      caller,
      deadlineAtMs: this.clock.monotonicMs() + ANSWER_MS,
      signal: new AbortController().signal,
      trace: contextOf(http) ?? ROOT_CONTEXT,
    };
  }
}

function runIn(runId: string): ReturnType<typeof queries.demand>['run_id'] {
  return queries.demand({ run_id: runId }).run_id;
}

/** A world is judged by the schema of its kind first: the union could only say that it is none of the three. */
function requestIn(body: unknown): RunRequest {
  const world: unknown = typeof body === 'object' && body !== null ? Reflect.get(body, 'world') : undefined;
  const kind: unknown = typeof world === 'object' && world !== null ? Reflect.get(world, 'kind') : undefined;
  if (typeof kind === 'string' && Object.hasOwn(worlds, kind)) worlds[kind]?.demand(world);
  return requests.demand(body);
}
