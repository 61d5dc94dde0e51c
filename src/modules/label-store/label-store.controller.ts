import { Body, Controller, Get, HttpCode, Param, Post, Query, Req } from '@nestjs/common';
import { ApiBody, ApiOperation, ApiParam, ApiQuery, ApiTags } from '@nestjs/swagger';
import { ROOT_CONTEXT } from '@opentelemetry/api';
import { Type } from '@sinclair/typebox';
import type { FastifyRequest } from 'fastify';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { type LabelTarget, LabelTargetSchema } from '../../rails/labels/target.js';
import { RunIdSchema } from '../../rails/pins.js';
import { closed } from '../../rails/schema.js';
import { validatorOf } from '../../rails/validator.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Caller, RequirePermission } from '../../substrate/http/principal.js';
import { CURSOR, cursorBehind, demandBody, documented, PageLimit } from '../../substrate/http/requests.js';
import { contextOf } from '../../substrate/http/telemetry.hooks.js';
import type { Principal } from '../../substrate/identity/identity.port.js';
import type { CallContext } from '../../substrate/rpc/rpc.port.js';
import { outgoing } from '../../substrate/rpc/outgoing.js';
import { type AssertResult, AssertionSchema } from './assertion.schema.js';
import {
  type AsOf,
  AsOfRequest,
  AssertRequest,
  CountsRequest,
  type LabelCountsAnswer,
  LABELS_MAX,
  type Slice,
  SliceRequest,
} from './label-store.port.js';
import { LabelStoreService } from './label-store.service.js';
import { type Feed, LabelStoreStore } from './label-store.store.js';
import { type LedgerRow, LedgerStore } from './ledger.store.js';
import { LabelMappingSchema, mapRow } from './mapping.core.js';

const LIMIT = new PageLimit(500);
const CALL_LIMIT_MS = 10_000;
/** Of each kind of what offends, and of refusals. */
const IDS_MAX = 20;

const RowsRequest = closed({
  run_id: RunIdSchema,
  namespace: AssertionSchema.properties.namespace,
  mapping: LabelMappingSchema,
  rows: Type.Array(Type.Unknown(), { minItems: 1, maxItems: LABELS_MAX }),
});

const requests = {
  assert: validatorOf(AssertRequest, 'the request'),
  asOf: validatorOf(AsOfRequest, 'the question'),
  counts: validatorOf(CountsRequest, 'the question'),
  rows: validatorOf(RowsRequest, 'the request'),
  slice: validatorOf(SliceRequest, 'the question'),
  target: validatorOf(LabelTargetSchema, 'the target'),
};

@ApiTags('labels')
@Controller('v1')
export class LabelStoreController {
  constructor(
    private readonly store: LabelStoreStore,
    private readonly ledger: LedgerStore,
    private readonly labels: LabelStoreService,
    private readonly clock: Clock,
  ) {}

  @Post('labels')
  @HttpCode(200)
  @RequirePermission('labels.write')
  @ApiOperation({
    summary: 'Appends labels; one result for each, in their order',
    description:
      'Who says it is the caller; when it became known is when it was told. The same handle again is a DUPLICATE, with another content it is refused. A correction is a label of its own that names the old one under supersedes.',
  })
  @ApiBody({
    schema: documented(closed({ labels: Type.Array(AssertionSchema, { minItems: 1, maxItems: LABELS_MAX }) })),
  })
  async assert(
    @Body() body: unknown,
    @Caller() caller: Principal,
    @Req() request: FastifyRequest,
  ): Promise<{ readonly results: readonly AssertResult[] }> {
    const { labels } = demandBody(requests.assert, body);
    return { results: await this.labels.append(labels, caller.actor, this.#context(request)) };
  }

  @Post('labels/rows')
  @HttpCode(200)
  @RequirePermission('labels.write')
  @ApiOperation({ summary: 'Appends labels from rows of a file that somebody else made, by a mapping' })
  @ApiBody({ schema: documented(RowsRequest) })
  async rows(
    @Body() body: unknown,
    @Caller() caller: Principal,
    @Req() request: FastifyRequest,
  ): Promise<{ readonly results: readonly AssertResult[] }> {
    const { run_id: runId, namespace, mapping, rows } = demandBody(requests.rows, body);
    const mapped = rows.map((row) => mapRow(row, mapping as never, { runId, namespace }));
    const assertions = mapped.flatMap((each) => (each.ok ? [each.assertion] : []));
    const results =
      assertions.length === 0 ? [] : await this.labels.append(assertions, caller.actor, this.#context(request));
    const unmapped = mapped.flatMap((each, at) => (each.ok ? [] : [{ row: at + 1, code: 'LBL_ASSERTION_INVALID' }]));
    await this.labels.refused({ runId, namespace }, unmapped);
    let next = 0;
    return {
      results: mapped.map((each): AssertResult => {
        const result = each.ok ? results[next++] : undefined;
        if (result !== undefined) return result;
        const detail = each.ok ? '' : each.says;
        return { outcome: 'REJECTED', code: 'LBL_ASSERTION_INVALID', detail, retryable: false };
      }),
    };
  }

  @Post('labels/as-of')
  @HttpCode(200)
  @RequirePermission('labels.read')
  @ApiOperation({
    summary: 'What was known of targets as of a time: a label, nothing, or a conflict',
    description:
      'The same question is answered the same for ever. ledger_seq of an answer gives that very answer again.',
  })
  @ApiBody({ schema: documented(AsOfRequest) })
  async asOf(@Body() body: unknown): Promise<AsOf> {
    demandAsOf(body);
    return await this.labels.asOf(demandBody(requests.asOf, body) as never);
  }

  @Post('labels/slices')
  @HttpCode(200)
  @RequirePermission('labels.read')
  @ApiOperation({
    summary: 'What was known of many targets as of a time, as one object with its digest',
    description: 'Without targets, of every event of the run of which anything was said by then.',
  })
  @ApiBody({ schema: documented(SliceRequest) })
  async slice(@Body() body: unknown): Promise<Slice> {
    demandAsOf(body);
    return await this.labels.slice(demandBody(requests.slice, body));
  }

  @Get('labels')
  @RequirePermission('labels.read')
  @ApiOperation({ summary: 'The ledger, oldest first: all that was said, also what was taken back' })
  @ApiQuery(LIMIT.query)
  @ApiQuery(CURSOR)
  @ApiQuery({ name: 'run', required: false, description: 'of this run alone' })
  @ApiQuery({ name: 'event', required: false, description: 'of this event alone' })
  @ApiQuery({ name: 'entity', required: false, description: 'of this entity alone, as type:id' })
  @ApiQuery({ name: 'type', required: false, description: 'of this type alone' })
  @ApiQuery({ name: 'value', required: false, description: 'of this value alone' })
  @ApiQuery({ name: 'namespace', required: false, description: 'of this namespace alone' })
  async list(
    @Query() query: Readonly<Record<string, string | undefined>>,
  ): Promise<{ readonly labels: readonly LedgerRow[]; readonly next_cursor?: string }> {
    const limit = LIMIT.of(query['limit']);
    const after = cursorBehind(query['cursor']);
    const target = targetOf(query);
    const rows = await this.ledger.list({
      after,
      limit: limit + 1,
      ...(query['run'] === undefined ? {} : { runId: query['run'] }),
      ...(target === undefined ? {} : { target }),
      ...(query['type'] === undefined ? {} : { labelType: query['type'] }),
      ...(query['value'] === undefined ? {} : { labelValue: query['value'] }),
      ...(query['namespace'] === undefined ? {} : { namespace: query['namespace'] }),
    });
    const labels = rows.slice(0, limit);
    const last = labels.at(-1);
    return { labels, ...(rows.length > limit && last !== undefined ? { next_cursor: String(last.seq) } : {}) };
  }

  @Get('runs/:run_id/labels')
  @RequirePermission('labels.read')
  @ApiOperation({ summary: "How far the labels of a run's sealed world have been published" })
  @ApiParam({ name: 'run_id', description: 'The run, as 32 hex digits' })
  async feed(@Param('run_id') runId: string): Promise<Omit<Feed, 'pins'>> {
    const feed = /^[0-9a-f]{32}$/.test(runId) ? await this.store.find(runId) : null;
    if (feed === null) throw new ProbityError('LBL_FEED_NOT_FOUND', 'no READY of this run was read yet');
    const { pins: _pins, ...shown } = feed;
    return shown;
  }

  @Get('runs/:run_id/labels/counts')
  @RequirePermission('labels.read')
  @ApiOperation({ summary: 'How many labels of the run were submitted, and what came of them' })
  @ApiParam({ name: 'run_id', description: 'The run, as 32 hex digits' })
  async counts(@Param('run_id') runId: string): Promise<LabelCountsAnswer> {
    return await this.labels.counts(demandBody(requests.counts, { run_id: runId, ids_max: IDS_MAX }));
  }

  #context(request: FastifyRequest): CallContext {
    return outgoing(this.clock, CALL_LIMIT_MS, { trace: contextOf(request) ?? ROOT_CONTEXT });
  }
}

function demandAsOf(body: unknown): void {
  if (typeof body === 'object' && body !== null && !('as_of_utc' in body))
    throw new ProbityError('LBL_MISSING_AS_OF', 'as_of_utc is missing');
}

function targetOf({ event, entity }: Readonly<Record<string, string | undefined>>): LabelTarget | undefined {
  if (event === undefined && entity === undefined) return undefined;
  const [type, ...rest] = (entity ?? '').split(':');
  const target =
    event === undefined ? { kind: 'ENTITY', type, id: rest.join(':') } : { kind: 'EVENT', event_id: event };
  return demandBody(requests.target, target);
}
