import { Body, Controller, Get, HttpCode, Param, Post, Query, Req } from '@nestjs/common';
import { ApiBody, ApiOperation, ApiQuery, ApiTags } from '@nestjs/swagger';
import { ROOT_CONTEXT } from '@opentelemetry/api';
import { Type } from '@sinclair/typebox';
import type { FastifyRequest } from 'fastify';
import { EventIdSchema } from '../../rails/envelope.schema.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { RunIdSchema } from '../../rails/pins.js';
import { closed } from '../../rails/schema.js';
import { validatorOf } from '../../rails/validator.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Caller, RequirePermission } from '../../substrate/http/principal.js';
import { demandBody, documented, LIMIT, limitOf } from '../../substrate/http/requests.js';
import { contextOf } from '../../substrate/http/telemetry.hooks.js';
import type { Principal } from '../../substrate/identity/identity.port.js';
import { outgoing } from '../../substrate/rpc/outgoing.js';
import {
  ActionRequest,
  BulkFindingRequest,
  type Case,
  type CaseEvent,
  type CasePage,
  CommandRequest,
  FindingRequest,
  STATUSES,
} from './case.schema.js';
import { filterOf, numberOf } from './case-query.js';
import { CaseNeighbours, type Neighbourhood } from './case-neighbours.js';
import { type BulkDone, BulkFindings } from './bulk-findings.js';
import { CaseWorkbenchService, type Done } from './case-workbench.service.js';
import { CaseWorkbenchStore, type TimelineRow } from './case-workbench.store.js';

const CALL_LIMIT_MS = 5_000;
const OpenRequest = closed({
  run_id: RunIdSchema,
  event_id: EventIdSchema,
  reason: Type.String({ minLength: 1, maxLength: 4_000, pattern: '^[^\\x00]*$' }),
  idempotency_key: CommandRequest.properties.idempotency_key,
});

const requests = {
  open: validatorOf(OpenRequest, 'the request'),
  command: validatorOf(CommandRequest, 'the request'),
  finding: validatorOf(FindingRequest, 'the request'),
  action: validatorOf(ActionRequest, 'the request'),
  bulk: validatorOf(BulkFindingRequest, 'the request'),
};

@ApiTags('cases')
@Controller('v1/cases')
export class CaseWorkbenchController {
  constructor(
    private readonly store: CaseWorkbenchStore,
    private readonly workbench: CaseWorkbenchService,
    private readonly bulk: BulkFindings,
    private readonly around: CaseNeighbours,
    private readonly clock: Clock,
  ) {}

  @Get()
  @RequirePermission('cases.read')
  @ApiOperation({ summary: 'Cases, youngest first' })
  @ApiQuery(LIMIT)
  @ApiQuery({ name: 'cursor', required: false, description: 'next_cursor of the page before' })
  @ApiQuery({ name: 'status', required: false, schema: { type: 'string', enum: [...STATUSES] } })
  @ApiQuery({ name: 'queue', required: false })
  @ApiQuery({ name: 'assignee', required: false, description: 'HUMAN::…, me, or none for those that nobody has' })
  @ApiQuery({ name: 'run', required: false, description: 'of this run alone' })
  async list(
    @Query() query: Readonly<Record<string, string | undefined>>,
    @Caller() caller: Principal,
  ): Promise<CasePage> {
    const limit = limitOf(query['limit']);
    const before = numberOf(query['cursor']);
    const rows = await this.store.list({
      limit: limit + 1,
      ...(before === undefined ? {} : { before }),
      ...filterOf(query, caller),
    });
    const last = rows[limit - 1];
    return {
      cases: rows.slice(0, limit).map(({ value }) => value),
      ...(rows.length > limit && last !== undefined ? { next_cursor: String(last.number) } : {}),
    };
  }

  @Get('counts')
  @RequirePermission('cases.read')
  @ApiOperation({ summary: 'How many cases there are, by queue and status' })
  async counts(): Promise<{ readonly counts: Awaited<ReturnType<CaseWorkbenchStore['counts']>> }> {
    return { counts: await this.store.counts() };
  }

  @Get('changes')
  @RequirePermission('cases.read')
  @ApiOperation({ summary: 'Entries of all timelines, oldest first: asked again with the cursor, a stream of changes' })
  @ApiQuery(LIMIT)
  @ApiQuery({
    name: 'cursor',
    required: false,
    description: 'cursor of the answer before; from the first one unless given',
  })
  async changes(
    @Query('limit') limitText?: string,
    @Query('cursor') cursor?: string,
  ): Promise<{ readonly changes: readonly TimelineRow[]; readonly cursor: string }> {
    const after = numberOf(cursor) ?? 0;
    const changes = await this.store.changes(after, limitOf(limitText));
    return { changes, cursor: String(changes.at(-1)?.number ?? after) };
  }

  @Get(':case_id/similar')
  @RequirePermission('cases.read')
  @ApiOperation({
    summary: 'Cases of the run that share identifiers or reasons with this one, those that share most first',
    description:
      'state is PENDING until what the payment names was read, soon after the case was opened; ABSENT where its record is gone.',
  })
  @ApiQuery(LIMIT)
  async similar(
    @Param('case_id') caseId: string,
    @Query('limit') limitText?: string,
  ): Promise<Awaited<ReturnType<CaseNeighbours['similar']>>> {
    return await this.around.similar(caseId, limitOf(limitText));
  }

  @Get(':case_id/neighbours')
  @RequirePermission('cases.read')
  @ApiOperation({
    summary: 'What hangs together with the payment of the case, and which cases that has',
    description:
      'graph.status is UNAVAILABLE with a code where the graph cannot be asked; everything else is answered all the same.',
  })
  async neighbours(@Param('case_id') caseId: string, @Req() request: FastifyRequest): Promise<Neighbourhood> {
    return await this.around.around(caseId, contextOf(request));
  }

  @Get(':case_id')
  @RequirePermission('cases.read')
  @ApiOperation({ summary: 'A case with its timeline' })
  async show(
    @Param('case_id') caseId: string,
  ): Promise<{ readonly case: Case; readonly timeline: readonly CaseEvent[] }> {
    // The timeline first: the case may go on in between, and then the answer shows entries of which the case knows.
    const timeline = await this.store.timeline(caseId);
    const found = await this.store.find(caseId);
    if (found === null) throw new ProbityError('CASE_NOT_FOUND', 'no case has this id');
    return { case: found, timeline };
  }

  @Post()
  @HttpCode(200)
  @RequirePermission('cases.write')
  @ApiOperation({ summary: 'Opens the case of an event, or adds a trigger to the one that it has' })
  @ApiBody({ schema: documented(OpenRequest) })
  async open(@Body() body: unknown, @Caller() caller: Principal, @Req() request: FastifyRequest): Promise<Done> {
    const { run_id: runId, event_id: eventId, reason, idempotency_key: key } = demandBody(requests.open, body);
    const context = outgoing(this.clock, CALL_LIMIT_MS, { trace: contextOf(request) ?? ROOT_CONTEXT });
    return await this.workbench.open({ runId, eventId, reason, key }, caller.actor, context);
  }

  @Post('dispositions')
  @HttpCode(200)
  @RequirePermission('cases.disposition')
  @ApiOperation({
    summary: 'One finding about up to 200 cases; a result per case, in their order',
    description:
      'One transaction. Each case is judged by itself: DONE, or REFUSED with a code. The same idempotency_key again gives the same results.',
  })
  @ApiBody({ schema: documented(BulkFindingRequest) })
  async decideMany(@Body() body: unknown, @Caller() caller: Principal): Promise<BulkDone> {
    return await this.bulk.decide(demandBody(requests.bulk, body), caller.actor);
  }

  @Post(':case_id/commands')
  @HttpCode(200)
  @RequirePermission('cases.write')
  @ApiOperation({
    summary: 'What a person does in a case: assign, note, escalate, close …',
    description:
      'The same idempotency_key again is the same entry. expected_seq refuses where the case has gone on since it was looked at (412).',
  })
  @ApiBody({ schema: documented(CommandRequest) })
  async command(@Param('case_id') caseId: string, @Body() body: unknown, @Caller() caller: Principal): Promise<Done> {
    return await this.workbench.command(caseId, demandBody(requests.command, body), caller.actor);
  }

  @Post(':case_id/dispositions')
  @HttpCode(200)
  @RequirePermission('cases.disposition')
  @ApiOperation({ summary: 'What was found; the label store is told, and the case is resolved by its answer' })
  @ApiBody({ schema: documented(FindingRequest) })
  async decide(@Param('case_id') caseId: string, @Body() body: unknown, @Caller() caller: Principal): Promise<Done> {
    const { disposition, reason, ...once } = demandBody(requests.finding, body);
    const command = { type: 'SET_DISPOSITION', disposition, reason } as const;
    return await this.workbench.command(caseId, { command, ...once }, caller.actor);
  }

  @Post(':case_id/actions')
  @HttpCode(200)
  @RequirePermission('cases.act')
  @ApiOperation({
    summary: 'Asks the actions layer to do something about the payment, through the gate',
    description:
      'The entry ACTION_SUBMITTED comes first; ACTION_ADMITTED or ACTION_REFUSED says what the gate answered, ACTION_OUTCOME what was done.',
  })
  @ApiBody({ schema: documented(ActionRequest) })
  async act(@Param('case_id') caseId: string, @Body() body: unknown, @Caller() caller: Principal): Promise<Done> {
    const { action, reason, ...once } = demandBody(requests.action, body);
    const command = { type: 'ASK_ACTION', action, reason } as const;
    return await this.workbench.command(caseId, { command, ...once }, caller.actor);
  }
}
