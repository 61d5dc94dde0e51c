import { Controller, Post, Query, Req, Res } from '@nestjs/common';
import {
  ApiBody,
  ApiConsumes,
  ApiCreatedResponse,
  ApiDefaultResponse,
  ApiOkResponse,
  ApiOperation,
  ApiProduces,
  ApiTags,
} from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { EnvelopeSchema } from '../../../rails/envelope.schema.js';
import { ProbityError } from '../../../rails/errors/probity-error.js';
import { Clock } from '../../../substrate/clock/clock.port.js';
import { bodyOf, isJson, mediaTypeOf, StreamedBody } from '../../../substrate/http/bodies.js';
import { Caller, RequirePermission } from '../../../substrate/http/principal.js';
import { documented } from '../../../substrate/http/requests.js';
import type { Principal } from '../../../substrate/identity/identity.port.js';
import { Policies } from '../../../substrate/policy/policy.port.js';
import { Telemetry } from '../../../substrate/telemetry/telemetry.port.js';
import { Gate } from '../ingestion-gate.gate.js';
import { ADMISSION_POLICY } from '../ingestion-gate.policy.js';
import { ReceiptSchema } from '../ingestion-gate.port.js';
import { admissionStream } from './admission-stream.js';
import { sayingWhen, sendReceipt, submissionContext } from './answers.js';
import { sendReceipts } from './batch-answer.js';
import { BatchQuery } from './dtos.js';
import { demandOpen } from './ingress.js';
import { acceptedForm, formOfMediaType } from './media.core.js';
import { oneEvent } from './one-event.js';

const STALL_MS = 30_000;

/** Producers' own door: the very bytes that they send are judged, one event or as many as they like. */
@ApiTags('ingestion')
@Controller('v1/events')
export class EventsController {
  constructor(
    private readonly gate: Gate,
    private readonly policies: Policies,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
  ) {}

  @Post()
  @StreamedBody()
  @RequirePermission('ig.submit')
  @ApiOperation({
    summary: 'Submits one event for admission',
    description: 'The same event again is answered with the place of the first; nothing happens twice.',
  })
  @ApiConsumes('application/json')
  @ApiBody({ schema: documented(EnvelopeSchema) })
  @ApiCreatedResponse({ description: 'Admitted.', schema: documented(ReceiptSchema) })
  @ApiOkResponse({ description: 'Admitted before: Idempotency-Replayed is true.', schema: documented(ReceiptSchema) })
  @ApiDefaultResponse({ description: 'A problem document: refused (with the receipt), or to be sent again later.' })
  async submit(@Req() request: FastifyRequest, @Res() reply: FastifyReply, @Caller() caller: Principal): Promise<void> {
    const receipt = await sayingWhen(reply, async () => {
      demandOpen(this.gate);
      if (!isJson(mediaTypeOf(request))) {
        throw new ProbityError('HTTP_MEDIA_TYPE_UNSUPPORTED', 'an event is sent as application/json');
      }
      const text = await oneEvent(bodyOf(request), this.#eventBytesMax, request.routeOptions.bodyLimit);
      // Again, for what was open when a slow sender began may be full by the time that he has ended.
      demandOpen(this.gate);
      const [first] = await this.gate.admit([{ text }], submissionContext(request, reply, caller));
      if (first === undefined) throw new ProbityError('INTERNAL', 'the gate gave no receipt');
      return first;
    });
    sendReceipt(request, reply, receipt);
  }

  @Post('batch')
  @StreamedBody()
  @RequirePermission('ig.submit')
  @ApiOperation({
    summary: 'Submits events for admission, as many as there are',
    description:
      'A JSON array or NDJSON, with gzip or without, of any length. Receipts are sent while the body is read, in the order of the events. An error after the first receipt is the last entry: {"error": <problem>}; send again from there.',
  })
  @ApiConsumes('application/json', 'application/x-ndjson')
  @ApiProduces('application/json', 'application/x-ndjson')
  @ApiBody({ schema: { type: 'array', items: documented(EnvelopeSchema) } })
  @ApiOkResponse({
    description: 'A receipt for each event.',
    schema: { type: 'array', items: documented(ReceiptSchema) },
  })
  @ApiDefaultResponse({ description: 'A problem document, where there was an error before the first receipt.' })
  async submitBatch(
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Caller() caller: Principal,
    @Query() query: BatchQuery,
  ): Promise<void> {
    await sayingWhen(reply, async () => {
      demandOpen(this.gate);
      const form = formOfMediaType(mediaTypeOf(request));
      if (form === undefined) {
        throw new ProbityError(
          'HTTP_MEDIA_TYPE_UNSUPPORTED',
          'events are sent as application/json (an array) or as application/x-ndjson',
        );
      }
      const receipts = admissionStream({
        gate: this.gate,
        clock: this.clock,
        context: submissionContext(request, reply, caller),
        body: bodyOf(request),
        form,
        eventBytesMax: this.#eventBytesMax,
        gapBytesMax: request.routeOptions.bodyLimit,
      });
      await sendReceipts(request, reply, receipts, {
        form: acceptedForm(request.headers.accept, form),
        short: query.receipts === 'short',
        clock: this.clock,
        logger: this.telemetry.logger,
        stallMs: request.server.server.requestTimeout || STALL_MS,
      });
    });
  }

  get #eventBytesMax(): number {
    return this.policies.inForce(ADMISSION_POLICY).body.limits.event_bytes_max;
  }
}
