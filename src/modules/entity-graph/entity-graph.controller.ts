import { Body, Controller, Get, HttpCode, Param, Post, Query, Req } from '@nestjs/common';
import { ApiBody, ApiOkResponse, ApiOperation, ApiQuery, ApiTags } from '@nestjs/swagger';
import type { Static } from '@sinclair/typebox';
import type { FastifyRequest } from 'fastify';
import { ProbityError } from '../../rails/errors/probity-error.js';
import type { GraphState, Identifier, Neighbour, Profile } from '../../rails/graph/graph-state.js';
import { IDENTIFIER_TYPES, type IdentifierType } from '../../rails/graph/graph.schema.js';
import type { PolicyRev } from '../../rails/policy-rev.js';
import { validatorOf } from '../../rails/validator.js';
import { RequirePermission } from '../../substrate/http/principal.js';
import { CURSOR, cursorBehind, documented, PageLimit } from '../../substrate/http/requests.js';
import type { ProjectedRun } from '../../substrate/projection/runs.js';
import { TRAFFIC } from '../../substrate/projection/projection.js';
import { GraphEngine } from './entity-graph.engine.js';
import { ContextsRequest, ContextsResponse } from './entity-graph.port.js';
import { EntityGraphService } from './entity-graph.service.js';

const requests = validatorOf(ContextsRequest, 'the request');
const LIMIT = new PageLimit(500, 100);
const RUN = { name: 'run', description: 'the run whose graph is asked' } as const;
const VERSION = {
  name: 'min_graph_version',
  required: false,
  description:
    'offsets of the traffic topic by partition, `0:120,1:88`, that the answer must have applied; else IEG_LAGGING',
} as const;

/** Every answer says of which run and version it is, and whether the run is whole. */
export interface Answered {
  readonly pins: object;
  readonly graph_version: object;
  readonly integrity: 'CLEAN' | 'DEGRADED';
}

export interface GraphStatus {
  /** Which generation of the graph answers; 1 until a backfill has put another one in its place. */
  readonly generation: number;
  readonly policy_rev: PolicyRev;
  readonly runs: readonly {
    readonly pins: object;
    readonly integrity: 'CLEAN' | 'DEGRADED';
    readonly invalid_records: number;
    readonly events: number;
    readonly identifiers: number;
  }[];
  readonly partitions: readonly {
    readonly topic: string;
    readonly partition: number;
    readonly next_offset: number;
    readonly lag_offsets: number;
  }[];
  readonly graph_version: object;
  readonly rows_since_checkpoint: number;
}

@ApiTags('graph')
@Controller('v1/graph')
export class EntityGraphController {
  constructor(
    private readonly service: EntityGraphService,
    private readonly engine: GraphEngine,
  ) {}

  @Post('contexts')
  @HttpCode(200)
  @RequirePermission('ieg.read')
  @ApiOperation({
    summary: 'What hung together with these events, at one version of the graph',
    description:
      'One result per trigger, in their order. A trigger is named with its place on the traffic topic; the answer has applied everything before it on its own partition, or says LAGGING after wait_ms.',
  })
  @ApiBody({ schema: documented(ContextsRequest) })
  @ApiOkResponse({ schema: documented(ContextsResponse) })
  async contexts(@Body() body: unknown, @Req() http: FastifyRequest): Promise<Static<typeof ContextsResponse>> {
    const request = requests.demand(body) as Static<typeof ContextsRequest>;
    const gone = new AbortController();
    http.raw.once('aborted', () => gone.abort());
    return await this.service.contexts(request, { signal: gone.signal });
  }

  @Get('resolve')
  @RequirePermission('ieg.read')
  @ApiOperation({ summary: 'Which customer an identifier belongs to: RESOLVED, AMBIGUOUS or UNRESOLVED' })
  @ApiQuery(RUN)
  @ApiQuery({ name: 'type', enum: [...IDENTIFIER_TYPES] })
  @ApiQuery({ name: 'id' })
  @ApiQuery(VERSION)
  resolve(
    @Query('run') run: string,
    @Query('type') type: string,
    @Query('id') id: string,
    @Query('min_graph_version') min?: string,
  ): Answered & { readonly status: Profile['status']; readonly customers: readonly string[] } {
    const { profile, answered } = this.#profile(run, type, id, min);
    return { ...answered, status: profile?.status ?? 'UNRESOLVED', customers: profile?.customers ?? [] };
  }

  @Get('entities/:type/:id')
  @RequirePermission('ieg.read')
  @ApiOperation({ summary: 'What is known of one identifier by now' })
  @ApiQuery(RUN)
  @ApiQuery(VERSION)
  entity(
    @Param('type') type: string,
    @Param('id') id: string,
    @Query('run') run: string,
    @Query('min_graph_version') min?: string,
  ): Answered & { readonly profile: Profile } {
    const { profile, answered } = this.#profile(run, type, id, min);
    if (profile === null) throw new ProbityError('IEG_ENTITY_NOT_FOUND', 'no event of the run names it');
    return { ...answered, profile };
  }

  @Get('entities/:type/:id/neighbors')
  @RequirePermission('ieg.read')
  @ApiOperation({ summary: 'Identifiers of the same events, in the order of type and id' })
  @ApiQuery(RUN)
  @ApiQuery(LIMIT.query)
  @ApiQuery(CURSOR)
  @ApiQuery(VERSION)
  neighbors(
    @Param('type') type: string,
    @Param('id') id: string,
    @Query('run') run: string,
    @Query('limit') limitText?: string,
    @Query('cursor') cursor?: string,
    @Query('min_graph_version') min?: string,
  ): Answered & { readonly neighbors: readonly Neighbour[]; readonly next_cursor?: string } {
    const limit = LIMIT.of(limitText);
    const from = cursorBehind(cursor);
    const found = this.#run(run, min);
    const all = found.state.neighbours(identifierOf(type, id));
    return {
      ...this.#answered(found),
      neighbors: all.slice(from, from + limit),
      ...(all.length > from + limit ? { next_cursor: String(from + limit) } : {}),
    };
  }

  @Get('status')
  @RequirePermission('ieg.read')
  @ApiOperation({ summary: 'How far the graph has got, what it holds, and whether it is whole' })
  status(): GraphStatus {
    const { engine } = this;
    return {
      generation: engine.owner.live,
      policy_rev: engine.policy.policy_rev,
      runs: [...engine.runs].map((run) => {
        const { events, identifiers } = run.state.size;
        const { pins, integrity } = this.#answered(run);
        return { pins, integrity, invalid_records: run.invalid, events, identifiers };
      }),
      partitions: [...engine.heads()].map(({ topic, partition, next, highWater }) => ({
        topic,
        partition,
        next_offset: next,
        lag_offsets: Math.max(0, highWater - next),
      })),
      graph_version: engine.vector.record(),
      rows_since_checkpoint: engine.runs.pending,
    };
  }

  #profile(
    run: string,
    type: string,
    id: string,
    min: string | undefined,
  ): { readonly profile: Profile | null; readonly answered: Answered } {
    const found = this.#run(run, min);
    return { profile: found.state.profile(identifierOf(type, id)), answered: this.#answered(found) };
  }

  #run(runId: string, min: string | undefined): ProjectedRun<GraphState> {
    this.engine.demandOwnership();
    for (const [partition, offset] of versionOf(min))
      if (!this.engine.vector.hasReached(partition, offset))
        throw new ProbityError(
          'IEG_LAGGING',
          `partition ${partition} stands at ${this.engine.vector.nextOf(TRAFFIC, partition) ?? 0}, before ${offset}`,
        );
    const run = [...this.engine.runs].find(({ pins }) => pins.run_id === runId);
    if (run === undefined) throw new ProbityError('IEG_SCOPE_UNKNOWN', 'nothing of this run was applied yet');
    return run;
  }

  #answered({ pins, invalid }: ProjectedRun<GraphState>): Answered {
    return { pins, graph_version: this.engine.vector.record(), integrity: invalid > 0 ? 'DEGRADED' : 'CLEAN' };
  }
}

function identifierOf(type: string, id: string): Identifier {
  if ((IDENTIFIER_TYPES as readonly string[]).includes(type)) return { type: type as IdentifierType, id };
  throw new ProbityError('HTTP_REQUEST_INVALID', `type is one of ${IDENTIFIER_TYPES.join(', ')}`);
}

function versionOf(text: string | undefined): readonly (readonly [number, number])[] {
  if (text === undefined) return [];
  return text.split(',').map((part) => {
    const [partition = '', offset = ''] = part.split(':');
    return [wholeOf(partition, 'min_graph_version'), wholeOf(offset, 'min_graph_version')] as const;
  });
}

function wholeOf(text: string, name: string): number {
  if (/^(0|[1-9][0-9]{0,14})$/.test(text)) return Number(text);
  throw new ProbityError('HTTP_REQUEST_INVALID', `${name} is a whole number`);
}
