import { Body, Controller, Get, HttpCode, Param, Post, Query, Req } from '@nestjs/common';
import { ApiBody, ApiOperation, ApiQuery, ApiTags } from '@nestjs/swagger';
import { ROOT_CONTEXT } from '@opentelemetry/api';
import { Type } from '@sinclair/typebox';
import type { FastifyRequest } from 'fastify';
import { isDigest } from '../../rails/digest.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { OUTCOMES } from '../../rails/events/decision.schema.js';
import { closed } from '../../rails/schema.js';
import { parseUtc } from '../../rails/time.js';
import { validatorOf } from '../../rails/validator.js';
import { RequirePermission } from '../../substrate/http/principal.js';
import { CURSOR, cursorOf, documented, LIMIT, limitOf } from '../../substrate/http/requests.js';
import { contextOf } from '../../substrate/http/telemetry.hooks.js';
import type { DecisionAnswer, DecisionView } from './decision-fabric.service.js';
import { DecisionFabricService } from './decision-fabric.service.js';
import { type DecisionQuality, QualityService } from './quality.service.js';
import { DecisionFabricStore, type DecisionRow, type DecisionsQuery } from './decision-fabric.store.js';

const RequestSchema = closed({
  transaction: Type.Optional(
    Type.Object({}, { description: 'a plain transaction, as POST /v1/transactions takes it' }),
  ),
  envelope: Type.Optional(
    Type.Object({}, { description: 'an envelope of a producer that the admission policy lists' }),
  ),
  deadline_ms: Type.Optional(Type.Integer({ minimum: 1, maximum: 60_000, description: 'the policy bounds it' })),
});
const requests = validatorOf(RequestSchema, 'the request');

export interface DecisionsPage {
  readonly decisions: readonly DecisionRow[];
  readonly next_cursor?: string;
}

export interface DecisionsSummary {
  readonly run_id: string;
  readonly decisions: number;
  readonly outcomes: Readonly<Record<string, number>>;
}

@ApiTags('decisions')
@Controller('v1/decisions')
export class DecisionFabricController {
  constructor(
    private readonly service: DecisionFabricService,
    private readonly store: DecisionFabricStore,
    private readonly qualities: QualityService,
  ) {}

  @Post()
  @HttpCode(200)
  @RequirePermission('decision.request')
  @ApiOperation({
    summary: 'Submits one event and answers with its decision',
    description:
      'The decision is the very record of the ordinary path. When deadline_ms ends first, the answer is the time-out outcome of the policy with timed_out: true; the decision still comes, under the decision_id of the answer.',
  })
  @ApiBody({ schema: documented(RequestSchema) })
  async decide(@Body() body: unknown, @Req() http: FastifyRequest): Promise<DecisionAnswer> {
    const checked = requests.check(body);
    if (!checked.ok) throw new ProbityError('DF_REQUEST_INVALID', `${checked.fault.at || '/'} ${checked.fault.says}`);
    const request = checked.value;
    if ((request.transaction === undefined) === (request.envelope === undefined))
      throw new ProbityError('DF_REQUEST_INVALID', 'one of /transaction and /envelope is to be there');
    return await this.service.decide(request, contextOf(http) ?? ROOT_CONTEXT);
  }

  @Get()
  @RequirePermission('decision.read')
  @ApiOperation({ summary: 'Decisions, youngest first; by entity, outcome, reason, run and domain time' })
  @ApiQuery(LIMIT)
  @ApiQuery(CURSOR)
  @ApiQuery({ name: 'entity_key', required: false })
  @ApiQuery({ name: 'outcome', required: false, schema: { type: 'string', enum: [...OUTCOMES] } })
  @ApiQuery({ name: 'reason', required: false, description: 'A reason code in full' })
  @ApiQuery({ name: 'run', required: false })
  @ApiQuery({ name: 'from', required: false, description: 'Domain time, RFC 3339, inclusive' })
  @ApiQuery({ name: 'to', required: false, description: 'Domain time, RFC 3339, exclusive' })
  async list(@Query() query: Readonly<Record<string, string>>): Promise<DecisionsPage> {
    const wanted = queryOf(query);
    const rows = await this.store.list({ ...wanted, limit: wanted.limit + 1 });
    const page = rows.slice(0, wanted.limit);
    const last = page.at(-1);
    return {
      decisions: page.map(({ number: _number, ...row }) => row),
      ...(rows.length > page.length && last !== undefined ? { next_cursor: String(last.number) } : {}),
    };
  }

  @Get('summary')
  @RequirePermission('decision.read')
  @ApiOperation({ summary: 'How many decisions a run has, by outcome' })
  @ApiQuery({ name: 'run', description: 'The run, as 32 hex digits' })
  async summary(@Query('run') run = ''): Promise<DecisionsSummary> {
    if (!/^[0-9a-f]{32}$/.test(run)) throw new ProbityError('HTTP_REQUEST_INVALID', 'run is 32 hex digits');
    const outcomes = await this.store.counts(run);
    return { run_id: run, decisions: Object.values(outcomes).reduce((a, b) => a + b, 0), outcomes };
  }

  @Get('quality')
  @RequirePermission('decision.read')
  @ApiOperation({ summary: 'How a run was decided, against what became known of its events later' })
  @ApiQuery({ name: 'run', description: 'The run, as 32 hex digits' })
  async quality(@Query('run') run = ''): Promise<DecisionQuality> {
    if (!/^[0-9a-f]{32}$/.test(run)) throw new ProbityError('HTTP_REQUEST_INVALID', 'run is 32 hex digits');
    return await this.qualities.of(run);
  }

  @Get(':decision_id')
  @RequirePermission('decision.read')
  @ApiOperation({
    summary: 'One decision, with its place on the bus, its receipt, and what was answered before it came',
  })
  async find(@Param('decision_id') decisionId: string, @Req() http: FastifyRequest): Promise<DecisionView> {
    if (!isDigest(decisionId))
      throw new ProbityError('DF_DECISION_NOT_FOUND', 'a decision id is 64 lower-case hex digits');
    return await this.service.find(decisionId, contextOf(http) ?? ROOT_CONTEXT);
  }
}

function queryOf(query: Readonly<Record<string, string>>): DecisionsQuery {
  const { limit, cursor, entity_key, outcome, reason, run, from, to } = query;
  const before = cursorOf(cursor);
  if (outcome !== undefined && !(OUTCOMES as readonly string[]).includes(outcome))
    throw new ProbityError('HTTP_REQUEST_INVALID', `outcome is one of ${OUTCOMES.join(', ')}`);
  return {
    limit: limitOf(limit),
    ...(before === null ? {} : { before }),
    ...(entity_key === undefined ? {} : { entity_key }),
    ...(outcome === undefined ? {} : { outcome }),
    ...(reason === undefined ? {} : { reason }),
    ...(run === undefined ? {} : { run_id: run }),
    ...(from === undefined ? {} : { from: parseUtc(from) }),
    ...(to === undefined ? {} : { to: parseUtc(to) }),
  };
}
