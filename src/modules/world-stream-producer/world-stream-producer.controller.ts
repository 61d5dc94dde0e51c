import { Body, Controller, Get, HttpCode, Param, Post, Req } from '@nestjs/common';
import {
  ApiAcceptedResponse,
  ApiBearerAuth,
  ApiBody,
  ApiDefaultResponse,
  ApiOkResponse,
  ApiOperation,
  ApiParam,
  type ApiResponseOptions,
  ApiTags,
} from '@nestjs/swagger';
import { ROOT_CONTEXT } from '@opentelemetry/api';
import { type Static, type TSchema, Type } from '@sinclair/typebox';
import type { FastifyRequest } from 'fastify';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { RunIdSchema } from '../../rails/pins.js';
import { closed } from '../../rails/schema.js';
import { type Validator, validatorOf } from '../../rails/validator.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { RequirePermission } from '../../substrate/http/principal.js';
import { contextOf } from '../../substrate/http/telemetry.hooks.js';
import { outgoing } from '../../substrate/rpc/outgoing.js';
import type { CallContext } from '../../substrate/rpc/rpc.port.js';
import { PaceSchema, type StreamStart, type StreamStatus, StreamStatusSchema } from './world-stream-producer.port.js';
import { WorldStreamProducerService } from './world-stream-producer.service.js';

const StartBodySchema = closed({ pace: Type.Optional(PaceSchema), again: Type.Optional(Type.Boolean()) });
const bodies = validatorOf(StartBodySchema, 'the body');
const runIds = validatorOf(RunIdSchema, 'run_id');

/** A person waits no longer than this for how far a stream is. */
const LIMIT_MS = 30_000;

type OpenApiSchema = Extract<ApiResponseOptions, { schema: unknown }>['schema'];
const STATUS = { description: 'How far the stream is.', schema: documented(StreamStatusSchema) };
const PROBLEM = { description: 'A problem document (RFC 9457) with code, retryable and remedy.' };

/** Streams, one per run: `/v1/runs/<run_id>/stream`. */
@Controller('v1/runs/:run_id/stream')
@ApiTags('streams')
@ApiBearerAuth()
@ApiParam({ name: 'run_id', schema: documented(RunIdSchema) })
@ApiDefaultResponse(PROBLEM)
export class WorldStreamProducerController {
  constructor(
    private readonly service: WorldStreamProducerService,
    private readonly clock: Clock,
  ) {}

  @Post()
  @HttpCode(202)
  @RequirePermission('wsp.control')
  @ApiOperation({
    operationId: 'stream_start',
    summary: 'Streams a run, resumes it where it is paused, or says how far it is',
  })
  @ApiBody({ required: false, schema: documented(StartBodySchema) })
  @ApiAcceptedResponse(STATUS)
  async start(
    @Param('run_id') runId: string,
    @Body() body: unknown,
    @Req() request: FastifyRequest,
  ): Promise<StreamStatus> {
    const asked: Omit<Static<typeof StreamStart>, 'run_id'> = checked(bodies, body ?? {}, 'the body');
    return await this.service.start({ run_id: runIdOf(runId), ...asked }, this.#context(request));
  }

  @Get()
  @RequirePermission('wsp.read')
  @ApiOperation({ operationId: 'stream_status', summary: 'How far the stream of a run is' })
  @ApiOkResponse(STATUS)
  async status(@Param('run_id') runId: string, @Req() request: FastifyRequest): Promise<StreamStatus> {
    return await this.service.status({ run_id: runIdOf(runId) }, this.#context(request));
  }

  @Post('pause')
  @HttpCode(200)
  @RequirePermission('wsp.control')
  @ApiOperation({ operationId: 'stream_pause', summary: 'Pauses the stream of a run' })
  @ApiOkResponse(STATUS)
  async pause(@Param('run_id') runId: string, @Req() request: FastifyRequest): Promise<StreamStatus> {
    return await this.service.pause({ run_id: runIdOf(runId) }, this.#context(request));
  }

  #context(request: FastifyRequest): CallContext {
    return outgoing(this.clock, LIMIT_MS, { trace: contextOf(request) ?? ROOT_CONTEXT });
  }
}

function runIdOf(text: string): Static<typeof RunIdSchema> {
  return checked(runIds, text, 'run_id');
}

function checked<Value>(validator: Validator<Value>, value: unknown, what: string): Value {
  const verdict = validator.check(value);
  if (verdict.ok) return verdict.value;
  const { at, says } = verdict.fault;
  throw new ProbityError('HTTP_REQUEST_INVALID', `${what}${at === '' ? '' : ` at ${at}`} ${says}`, { data: { at } });
}

/** The builder's own marks under symbols have no place in a document. */
function documented(schema: TSchema): OpenApiSchema {
  return JSON.parse(JSON.stringify(schema)) as OpenApiSchema;
}
