import { isUtf8 } from 'node:buffer';
import { Controller, Get, Param, Post, Query, Req, Res } from '@nestjs/common';
import {
  ApiBody,
  ApiConsumes,
  ApiCreatedResponse,
  ApiDefaultResponse,
  ApiOkResponse,
  ApiOperation,
  ApiTags,
} from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Digest, digestBytes, isDigest } from '../../../rails/digest.js';
import { ProbityError } from '../../../rails/errors/probity-error.js';
import { bodyOf, collect, isJson, mediaTypeOf, StreamedBody } from '../../../substrate/http/bodies.js';
import { Caller, RequirePermission } from '../../../substrate/http/principal.js';
import { documented } from '../../../substrate/http/requests.js';
import { contextOf } from '../../../substrate/http/telemetry.hooks.js';
import type { Principal } from '../../../substrate/identity/identity.port.js';
import { Telemetry } from '../../../substrate/telemetry/telemetry.port.js';
import { Gate, type QuarantineEntry, type QuarantinePage } from '../ingestion-gate.gate.js';
import { ReceiptSchema } from '../ingestion-gate.port.js';
import { sayingWhen, sendReceipt, submissionContext } from './answers.js';
import { EvidenceQuery, QuarantineListQuery } from './dtos.js';
import { eventText } from './event-text.core.js';
import { demandOpen } from './ingress.js';
import { type Release, releaseOf } from './release.core.js';

const PAGE_ENTRIES = 50;

const ENTRY = {
  type: 'object',
  properties: {
    quarantine_id: { type: 'string' },
    receipt: documented(ReceiptSchema),
    superseded_by: { type: 'string', description: 'receipt of the event that superseded it' },
  },
};

/** The bytes of a quarantined event as JSON can carry them. */
interface EvidenceAnswer {
  readonly quarantine_id: Digest;
  readonly digest: Digest;
  readonly size: number;
  /** Where the bytes are UTF-8. */
  readonly text?: string;
  /** Where they are not. */
  readonly base64?: string;
}

/** What was refused: to be looked at, and to be let in again by the same door as everything else (law R7). */
@ApiTags('ingestion')
@Controller('v1/quarantine')
export class QuarantineController {
  constructor(
    private readonly gate: Gate,
    private readonly telemetry: Telemetry,
  ) {}

  @Get()
  @RequirePermission('ig.quarantine.read')
  @ApiOperation({ summary: 'Quarantined events, youngest first' })
  @ApiOkResponse({
    schema: {
      type: 'object',
      properties: { entries: { type: 'array', items: ENTRY }, next_cursor: { type: 'string' } },
    },
  })
  async list(@Query() { limit, cursor, run_id, reason, producer }: QuarantineListQuery): Promise<QuarantinePage> {
    return await this.gate.quarantine({
      limit: limit ?? PAGE_ENTRIES,
      ...(cursor === undefined ? {} : { cursor }),
      ...(run_id === undefined ? {} : { run_id }),
      ...(reason === undefined ? {} : { reason }),
      ...(producer === undefined ? {} : { producer }),
    });
  }

  @Get(':quarantine_id')
  @RequirePermission('ig.quarantine.read')
  @ApiOperation({ summary: 'A quarantined event: its receipt, and what superseded it' })
  @ApiOkResponse({ schema: ENTRY })
  @ApiDefaultResponse({ description: 'A problem document: IG_QUARANTINE_NOT_FOUND.' })
  async entry(@Param('quarantine_id') id: string): Promise<QuarantineEntry> {
    return await this.#entry(id);
  }

  @Get(':quarantine_id/evidence')
  @RequirePermission('ig.quarantine.read')
  @ApiOperation({
    summary: 'The bytes of a quarantined event as they were sent',
    description: 'Who reads them, when and for what purpose is recorded.',
  })
  @ApiOkResponse({
    schema: {
      type: 'object',
      properties: {
        quarantine_id: { type: 'string' },
        digest: { type: 'string', description: 'sha-256 of the bytes' },
        size: { type: 'integer' },
        text: { type: 'string', description: 'where the bytes are UTF-8' },
        base64: { type: 'string', description: 'where they are not' },
      },
    },
  })
  @ApiDefaultResponse({
    description: 'A problem document: IG_PURPOSE_REQUIRED, IG_QUARANTINE_NOT_FOUND, IG_EVIDENCE_NOT_KEPT.',
  })
  async evidence(
    @Param('quarantine_id') id: string,
    @Query() { purpose = '' }: EvidenceQuery,
    @Caller() caller: Principal,
  ): Promise<EvidenceAnswer> {
    if (purpose.trim() === '') throw new ProbityError('IG_PURPOSE_REQUIRED', 'the query does not say the purpose');
    const { quarantine_id } = await this.#entry(id);
    const bytes = await this.#evidence(quarantine_id, caller, purpose);
    return {
      quarantine_id,
      digest: digestBytes(bytes),
      size: bytes.byteLength,
      ...(isUtf8(bytes) ? { text: bytes.toString('utf8') } : { base64: bytes.toString('base64') }),
    };
  }

  @Post(':quarantine_id/release')
  @StreamedBody()
  @RequirePermission('ig.quarantine.release')
  @ApiOperation({
    summary: 'Lets a quarantined event in again, as it was or corrected',
    description:
      'The event is judged like every other one, under the policy now in force, with the caller as its producer. Its receipt names what it supersedes; the old evidence stays.',
  })
  @ApiConsumes('application/json')
  @ApiBody({
    schema: {
      type: 'object',
      required: ['reason'],
      additionalProperties: false,
      properties: {
        reason: { type: 'string', minLength: 1, maxLength: 500 },
        correction: { type: 'object', description: 'the corrected envelope; without it the stored bytes enter again' },
      },
    },
  })
  @ApiCreatedResponse({ description: 'Admitted.', schema: documented(ReceiptSchema) })
  @ApiOkResponse({ description: 'Admitted before.', schema: documented(ReceiptSchema) })
  @ApiDefaultResponse({ description: 'A problem document: refused again (with the receipt), IG_EVIDENCE_NOT_KEPT …' })
  async release(
    @Param('quarantine_id') id: string,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Caller() caller: Principal,
  ): Promise<void> {
    const receipt = await sayingWhen(reply, async () => {
      demandOpen(this.gate);
      if (!isJson(mediaTypeOf(request))) {
        throw new ProbityError('HTTP_MEDIA_TYPE_UNSUPPORTED', 'a release is sent as application/json');
      }
      const body = await collect(bodyOf(request), request.routeOptions.bodyLimit);
      const release = releaseOf(eventText(body, isUtf8(body)));
      const { quarantine_id: supersedes } = await this.#entry(id);
      const text = release.correction ?? (await this.#storedText(supersedes, caller, release));
      const [first] = await this.gate.admit([{ text, supersedes }], submissionContext(request, reply, caller));
      if (first === undefined) throw new ProbityError('INTERNAL', 'the gate gave no receipt');
      const trace = contextOf(request);
      this.telemetry.logger.info('ig_quarantine_released', {
        ...(trace === undefined ? {} : { trace }),
        quarantine_id: supersedes,
        receipt_id: first.receipt_id,
        decision: first.decision,
        corrected: release.correction !== undefined,
        actor_id: caller.actor.actor_id,
        reason: release.reason,
      });
      return first;
    });
    sendReceipt(request, reply, receipt);
  }

  async #entry(id: string): Promise<QuarantineEntry> {
    const entry = isDigest(id) ? await this.gate.quarantined(id) : null;
    if (entry === null) throw new ProbityError('IG_QUARANTINE_NOT_FOUND', 'no quarantined event has this id');
    return entry;
  }

  async #evidence(id: Digest, caller: Principal, purpose: string): Promise<Buffer> {
    const bytes = await this.gate.readEvidence(id, caller, purpose);
    if (bytes === null) throw new ProbityError('IG_EVIDENCE_NOT_KEPT', 'the policy kept no more than the digest');
    return bytes;
  }

  async #storedText(id: Digest, caller: Principal, { reason }: Release): Promise<string> {
    const bytes = await this.#evidence(id, caller, `release: ${reason}`);
    return eventText(bytes, isUtf8(bytes));
  }
}
