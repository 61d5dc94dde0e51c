import { Body, Controller, Get, Header, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiBody, ApiOperation, ApiProduces, ApiQuery, ApiTags } from '@nestjs/swagger';
import { Type } from '@sinclair/typebox';
import { type Digest, isDigest } from '../../rails/digest.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { closed } from '../../rails/schema.js';
import { validatorOf } from '../../rails/validator.js';
import type { ModelGateReceipt } from '../../rails/registry/gate-receipt.schema.js';
import { Caller, RequirePermission } from '../../substrate/http/principal.js';
import { CURSOR, cursorOf, documented, LIMIT, limitOf } from '../../substrate/http/requests.js';
import type { Principal } from '../../substrate/identity/identity.port.js';
import { ModelFactoryService } from './model-factory.service.js';
import { ModelFactoryStore } from './model-factory.store.js';
import { bundleIn } from './run-inputs.js';
import { RunResults } from './run-results.js';
import {
  type RunState,
  type RunStatus,
  type TrainAnswer,
  TrainRequestSchema,
  type Trained,
} from './train-run.schema.js';

/** The bundle itself in place of a reference. */
const RunBody = closed({
  ...TrainRequestSchema.properties,
  candidate: Type.Optional(Type.Object({}, { additionalProperties: true, description: 'a bundle; of candidate_eval' })),
});
const bodies = validatorOf(RunBody, 'the request');

@ApiTags('training runs')
@Controller('v1/training-runs')
export class ModelFactoryController {
  constructor(
    private readonly factory: ModelFactoryService,
    private readonly results: RunResults,
    private readonly store: ModelFactoryStore,
  ) {}

  @Post()
  @HttpCode(202)
  @RequirePermission('models.train')
  @ApiOperation({
    summary: 'Asks for a bundle to be made of datasets and judged, or for one that others made to be judged',
    description:
      'The same request_id again is the same run. The same inputs are one run, whoever asks: ALREADY_DONE where it has ended. What passes its gates is put before the registry unless publish is false; nothing becomes active.',
  })
  @ApiBody({ schema: documented(RunBody) })
  async request(@Body() body: unknown, @Caller() caller: Principal): Promise<TrainAnswer> {
    const verdict = bodies.check(body);
    if (!verdict.ok) {
      const { at, says } = verdict.fault;
      throw new ProbityError('MF_REQUEST_INVALID', `${at === '' ? 'the body' : at} ${says}`);
    }
    const { candidate, ...request } = verdict.value;
    return await this.factory.accept(request, candidate === undefined ? null : bundleIn(candidate), caller.actor);
  }

  @Get()
  @RequirePermission('models.read')
  @ApiOperation({ summary: 'Runs, youngest first' })
  @ApiQuery(LIMIT)
  @ApiQuery(CURSOR)
  async list(
    @Query('limit') limitText?: string,
    @Query('cursor') cursor?: string,
  ): Promise<{ readonly runs: readonly RunStatus[]; readonly next_cursor?: string }> {
    const limit = limitOf(limitText);
    const before = cursorOf(cursor);
    const rows = await this.store.list({
      limit: limit + 1,
      ...(before === null ? {} : { before }),
    });
    const last = rows[limit - 1];
    return {
      runs: rows.slice(0, limit).map(({ run }) => run),
      ...(rows.length > limit && last !== undefined ? { next_cursor: String(last.number) } : {}),
    };
  }

  @Get(':id')
  @RequirePermission('models.read')
  @ApiOperation({ summary: 'Where a run stands, and how it got there' })
  async show(@Param('id') id: string): Promise<{
    readonly run: RunStatus;
    readonly states: readonly { readonly state: RunState; readonly at: string }[];
  }> {
    const runId = idOf(id);
    return { run: await this.factory.status(runId), states: await this.store.history(runId) };
  }

  @Get(':id/report.html')
  @RequirePermission('models.read')
  @ApiOperation({ summary: 'The evaluation as one page for a browser' })
  @ApiProduces('text/html')
  @Header('content-type', 'text/html; charset=utf-8')
  // It is a document of figures: nothing in it runs, and it fetches nothing.
  @Header('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'; img-src data:")
  async html(@Param('id') id: string): Promise<string> {
    const { artifacts } = await this.#trained(id);
    return (await this.results.read(artifacts.report_html)).toString('utf8');
  }

  @Get(':id/report.json')
  @RequirePermission('models.read')
  @ApiOperation({ summary: 'The evaluation' })
  async report(@Param('id') id: string): Promise<object> {
    const { artifacts } = await this.#trained(id);
    return JSON.parse((await this.results.read(artifacts.report)).toString('utf8')) as object;
  }

  @Get(':id/receipt')
  @RequirePermission('models.read')
  @ApiOperation({ summary: 'What the gates said, criterion by criterion' })
  async receipt(@Param('id') id: string): Promise<ModelGateReceipt> {
    return await this.results.receipt((await this.#trained(id)).artifacts.gate_receipt);
  }

  @Get(':id/bundle')
  @RequirePermission('models.read')
  @ApiOperation({ summary: 'The bundle that was judged, whatever came of it' })
  async bundle(@Param('id') id: string): Promise<object> {
    const { artifacts } = await this.#trained(id);
    return JSON.parse((await this.results.read(artifacts.bundle)).toString('utf8')) as object;
  }

  @Post(':id/cancel')
  @HttpCode(200)
  @RequirePermission('models.train')
  @ApiOperation({ summary: 'Ends a run that nobody wants any more' })
  async cancel(@Param('id') id: string, @Caller() caller: Principal): Promise<RunStatus> {
    return await this.factory.cancel(idOf(id), caller.actor);
  }

  async #trained(id: string): Promise<Trained> {
    const { trained, state } = await this.factory.status(idOf(id));
    if (trained !== null) return trained;
    throw new ProbityError('MF_NOT_TRAINED', `the run is ${state}, and nothing was judged`);
  }
}

function idOf(text: string): Digest {
  if (isDigest(text)) return text;
  throw new ProbityError('MF_RUN_NOT_FOUND', 'the id of a run is 64 hex digits');
}
