import { Controller, Get, Post, Query, Req, Res } from '@nestjs/common';
import { ApiBody, ApiConsumes, ApiOperation, ApiProduces, ApiQuery, ApiResponse, ApiTags } from '@nestjs/swagger';
import { type Context, ROOT_CONTEXT } from '@opentelemetry/api';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import { bodyOf, collect, mediaTypeOf, StreamedBody } from '../../substrate/http/bodies.js';
import { formOf } from '../../substrate/http/json-splitter.js';
import { Caller, RequirePermission } from '../../substrate/http/principal.js';
import { documented } from '../../substrate/http/requests.js';
import { contextOf } from '../../substrate/http/telemetry.hooks.js';
import type { Principal } from '../../substrate/identity/identity.port.js';
import { CloudEventSchema, cloudEventOfHeaders, eventOfCloudEvent, isBinaryMode } from './cloud-event.core.js';
import { madeOfText, MESSAGE_BYTES_MAX, takeBody, type TakenBody } from './edge-body.js';
import { demandAdmitted, type EdgeResult, EdgeResultSchema, retryAfterMsOf } from './edge.result.js';
import { type EdgesReport, EdgesStatus, type UnreadablePage } from './edges-status.js';
import { type Edge, ProducerEdgesService, traceIdsOf } from './producer-edges.service.js';
import { PlainTransactionSchema } from './plain-transaction.schema.js';
import { eventOf, type Made } from './transaction.core.js';

const NDJSON = 'application/x-ndjson';

/** OpenAPI speaks JSON Schema; what the builder keeps under symbols is left out on the way. */

@ApiTags('edges')
@Controller('v1')
export class ProducerEdgesController {
  constructor(
    private readonly edges: ProducerEdgesService,
    private readonly status: EdgesStatus,
  ) {}

  @Post('transactions')
  @StreamedBody()
  @RequirePermission('edge.submit')
  @ApiOperation({
    summary: 'Takes plain transactions: one object, an array, or NDJSON; gzip where the body says so',
    description:
      'The edge of the caller makes each an event of its live run and submits it. transaction_id makes a retry a DUPLICATE. One object is answered by itself (201, 200 or a problem); a list by one result each, in their order.',
  })
  @ApiConsumes('application/json', NDJSON)
  @ApiProduces('application/json', NDJSON)
  @ApiBody({ schema: documented(PlainTransactionSchema) })
  @ApiResponse({ status: 201, description: 'One transaction, admitted', schema: documented(EdgeResultSchema) })
  @ApiResponse({ status: 200, description: 'A duplicate, or the results of a list' })
  async transactions(
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
    @Caller() caller: Principal,
  ): Promise<EdgeResult | string> {
    return await answering(reply, async () => {
      mediaTypeOf(request);
      const edge = await this.edges.edgeOf(caller, 'http');
      const trace = contextOf(request) ?? ROOT_CONTEXT;
      const ids = traceIdsOf(trace);
      const make = (message: unknown): Made => eventOf(message, edge, ids);
      return answer(request, reply, await this.#take(request, edge, trace, make));
    });
  }

  @Post('cloudevents')
  @StreamedBody()
  @RequirePermission('edge.submit')
  @ApiOperation({
    summary: 'Takes CloudEvents 1.0 whose data is a transaction: structured, batched or binary',
    description:
      'source and id make a retry a DUPLICATE. time is when the payment happened, unless its data says so in occurred_at.',
  })
  @ApiConsumes('application/cloudevents+json', 'application/cloudevents-batch+json', 'application/json')
  @ApiBody({ schema: documented(CloudEventSchema) })
  @ApiResponse({ status: 201, description: 'One event, admitted', schema: documented(EdgeResultSchema) })
  @ApiResponse({ status: 200, description: 'A duplicate, or the results of a batch' })
  async cloudEvents(
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
    @Caller() caller: Principal,
  ): Promise<EdgeResult | string> {
    return await answering(reply, async () => {
      const mode = cloudEventsMode(request);
      const edge = await this.edges.edgeOf(caller, 'cloudevents');
      const trace = contextOf(request) ?? ROOT_CONTEXT;
      const ids = traceIdsOf(trace);
      const make = (message: unknown): Made => eventOfCloudEvent(message, edge, ids);
      if (mode === 'batch') return answer(request, reply, await this.#take(request, edge, trace, make));
      // One event: it is read whole, so that something behind it is a fault of the message and not a second event.
      const text = (await collect(bodyOf(request), MESSAGE_BYTES_MAX)).toString('utf8');
      const made = madeOfText(
        text,
        mode === 'structured' ? make : (data) => make(cloudEventOfHeaders(request.headers, data)),
      );
      return answer(request, reply, { results: await this.edges.submit(edge, [made], { trace }), single: true });
    });
  }

  @Get('edges')
  @RequirePermission('edge.read')
  @ApiOperation({ summary: 'The edges: to which run each is bound, and how far each source has been read' })
  async list(): Promise<EdgesReport> {
    return await this.status.report();
  }

  @Get('edges/unreadable')
  @RequirePermission('edge.read')
  @ApiOperation({ summary: 'Records of a source that could not be made into transactions, youngest first' })
  @ApiQuery({ name: 'group', description: 'The group of the source' })
  @ApiQuery({ name: 'limit', required: false, description: '1 to 200, 50 unless given' })
  @ApiQuery({ name: 'cursor', required: false, description: 'Of the page before' })
  async unreadable(
    @Query('group') group: string | undefined,
    @Query('limit') limit: string | undefined,
    @Query('cursor') cursor: string | undefined,
  ): Promise<UnreadablePage> {
    return await this.status.unreadable(group, limit, cursor);
  }

  async #take(
    request: FastifyRequest,
    edge: Edge,
    trace: Context,
    make: (message: unknown) => Made,
  ): Promise<TakenBody> {
    const form = formOf(request.headers['content-type']);
    return await takeBody(bodyOf(request), form, make, (batch) => this.edges.submit(edge, batch, { trace }));
  }
}

/** One message by itself is answered with its status; of a list each result says its own. */
function answer(request: FastifyRequest, reply: FastifyReply, { results, single }: TakenBody): EdgeResult | string {
  const [first] = results;
  if (single && first !== undefined) {
    const result = demandAdmitted(first);
    reply.status(result.decision === 'ADMIT' ? 201 : 200);
    return result;
  }
  reply.status(200);
  const asked = request.headers.accept ?? '';
  const lines =
    asked.includes('ndjson') || (formOf(request.headers['content-type']) === 'lines' && !asked.includes('/json'));
  if (!lines) {
    void reply.type('application/json; charset=utf-8');
    return JSON.stringify(results);
  }
  void reply.type(NDJSON);
  return results.map((result) => `${JSON.stringify(result)}\n`).join('');
}

/** A refusal that says how long to wait says so in the header, too, where HTTP clients look for it. */
async function answering<Result>(reply: FastifyReply, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    const waitMs = isProbityError(error) ? retryAfterMsOf(error) : undefined;
    if (waitMs !== undefined) reply.header('retry-after', String(Math.max(1, Math.ceil(waitMs / 1_000))));
    throw error;
  }
}

function cloudEventsMode(request: FastifyRequest): 'structured' | 'batch' | 'binary' {
  const mediaType = mediaTypeOf(request);
  if (mediaType === 'application/cloudevents+json') return 'structured';
  if (mediaType === 'application/cloudevents-batch+json') return 'batch';
  if (isBinaryMode(request.headers)) return 'binary';
  throw new ProbityError(
    'HTTP_MEDIA_TYPE_UNSUPPORTED',
    'send application/cloudevents+json, application/cloudevents-batch+json, or the attributes in ce- headers',
  );
}
