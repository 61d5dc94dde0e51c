import { Controller, Get, Header, HttpCode, Param, Post, Query, Req } from '@nestjs/common';
import { ApiOperation, ApiQuery, ApiTags } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { isObjectKey } from '../../rails/ref.js';
import { inclusionProof } from '../../rails/tlog/merkle.js';
import { rangeHashes } from '../../rails/tlog/tiles.js';
import { RequirePermission } from '../../substrate/http/principal.js';
import { CURSOR, LIMIT, limitOf } from '../../substrate/http/requests.js';
import { LogSigner } from '../../substrate/signing/log-signer.js';
import { AuditObjects } from './audit-objects.js';
import { type AuditVerification, AuditVerificationService } from './audit-verification.service.js';
import { DecisionLogAuditStore, type LeafRow } from './decision-log-audit.store.js';

const CHECKPOINTS_MAX = 1_000;

export interface AuditStatus {
  /** Leaves that have their place, and how many of them a checkpoint covers. */
  readonly leaves: number;
  readonly signed: number;
  readonly public_key: string;
  readonly by_kind: Readonly<Record<string, number>>;
}

export interface AuditRecordView {
  readonly leaf: number;
  readonly record: unknown;
  /** The very bytes that were hashed, as text. */
  readonly leaf_text: string;
  /** From the leaf's hash to the root of the checkpoint (RFC 6962, 2.1.1), in base64. */
  readonly inclusion_proof: readonly string[];
  readonly checkpoint: string;
}

@ApiTags('audit')
@Controller('v1/audit')
export class DecisionLogAuditController {
  constructor(
    private readonly store: DecisionLogAuditStore,
    private readonly objects: AuditObjects,
    private readonly signer: LogSigner,
    private readonly verifications: AuditVerificationService,
  ) {}

  @Get('checkpoint')
  @Header('content-type', 'text/plain; charset=utf-8')
  @RequirePermission('audit.read')
  @ApiOperation({ summary: 'The newest signed checkpoint (C2SP tlog-checkpoint)' })
  async checkpoint(): Promise<string> {
    return await this.#newest();
  }

  @Get('public-key')
  @Header('content-type', 'text/plain; charset=utf-8')
  @RequirePermission('audit.read')
  @ApiOperation({ summary: 'The key that checkpoints are signed with, as signed notes name it' })
  publicKey(): string {
    return `${this.signer.signer.verifier.text}\n`;
  }

  @Get('checkpoints')
  @RequirePermission('audit.read')
  @ApiOperation({ summary: 'Sizes of all checkpoints that were ever signed, rising' })
  @ApiQuery({ name: 'after', required: false, description: 'the last size of the page before' })
  async checkpoints(@Query('after') after?: string): Promise<{ readonly sizes: readonly number[] }> {
    return {
      sizes: await this.objects.checkpoints(after === undefined ? null : wholeOf(after, 'after'), CHECKPOINTS_MAX),
    };
  }

  @Get('checkpoints/:size')
  @Header('content-type', 'text/plain; charset=utf-8')
  @RequirePermission('audit.read')
  @ApiOperation({ summary: 'The checkpoint of this size' })
  async checkpointOf(@Param('size') size: string): Promise<string> {
    const note = await this.objects.checkpoint(wholeOf(size, 'size'));
    if (note === null) throw new ProbityError('DLA_RECORD_NOT_FOUND', 'no checkpoint of this size was signed');
    return note;
  }

  @Get('tile/*')
  @Header('content-type', 'application/octet-stream')
  @RequirePermission('audit.read')
  @ApiOperation({ summary: 'Tiles and entry bundles under the paths of C2SP tlog-tiles' })
  async tile(@Req() http: FastifyRequest): Promise<Buffer> {
    const [path = ''] = http.url.split('?');
    const name = path.slice(path.indexOf('/tile/') + 1);
    const bytes = isObjectKey(name) ? await this.objects.read(name) : null;
    if (bytes === null) throw new ProbityError('DLA_RECORD_NOT_FOUND', 'no tile stands under this path');
    return bytes;
  }

  @Get('records')
  @RequirePermission('audit.read')
  @ApiOperation({ summary: 'Where records stand in the log, youngest first' })
  @ApiQuery(LIMIT)
  @ApiQuery(CURSOR)
  @ApiQuery({ name: 'run', required: false })
  @ApiQuery({ name: 'decision', required: false })
  @ApiQuery({ name: 'entity', required: false })
  @ApiQuery({ name: 'kind', required: false, enum: ['event', 'decision', 'intent', 'outcome', 'quarantine'] })
  async records(
    @Query('limit') limitText?: string,
    @Query('cursor') cursor?: string,
    @Query('run') run?: string,
    @Query('decision') decision?: string,
    @Query('entity') entity?: string,
    @Query('kind') kind?: string,
  ): Promise<{ readonly records: readonly LeafRow[]; readonly next_cursor?: string }> {
    const limit = limitOf(limitText);
    const rows = await this.store.leaves({
      limit: limit + 1,
      ...(cursor === undefined ? {} : { before: wholeOf(cursor, 'cursor') }),
      ...(run === undefined ? {} : { run }),
      ...(decision === undefined ? {} : { decision }),
      ...(entity === undefined ? {} : { entity }),
      ...(kind === undefined ? {} : { kind }),
    });
    const last = rows[limit - 1];
    return {
      records: rows.slice(0, limit),
      ...(rows.length > limit && last !== undefined ? { next_cursor: String(last.leaf) } : {}),
    };
  }

  @Get('records/:leaf')
  @RequirePermission('audit.read')
  @ApiOperation({ summary: 'One record with the proof that the newest checkpoint covers it' })
  async record(@Param('leaf') text: string): Promise<AuditRecordView> {
    const leaf = wholeOf(text, 'leaf');
    const { published: size } = await this.store.state();
    if (leaf >= size) throw new ProbityError('DLA_RECORD_NOT_FOUND', `the checkpoint covers the leaves below ${size}`);
    const bytes = await this.objects.leaf(leaf, size);
    const proof = await inclusionProof(
      leaf,
      size,
      rangeHashes(size, (path) => this.#demand(path)),
    );
    const leafText = bytes.toString('utf8');
    return {
      leaf,
      record: JSON.parse(leafText) as unknown,
      leaf_text: leafText,
      inclusion_proof: proof.map((hash) => hash.toString('base64')),
      checkpoint: (await this.objects.checkpoint(size)) ?? '',
    };
  }

  @Get('status')
  @RequirePermission('audit.read')
  @ApiOperation({ summary: 'How far the log is, and whose key signs it' })
  async status(): Promise<AuditStatus> {
    const { nextLeaf, published } = await this.store.state();
    const public_key = this.signer.signer.verifier.text;
    return { leaves: nextLeaf, signed: published, public_key, by_kind: await this.store.counts() };
  }

  @Get('runs/:run_id')
  @RequirePermission('audit.read')
  @ApiOperation({ summary: 'How many leaves of each kind are of this run' })
  async run(
    @Param('run_id') runId: string,
  ): Promise<{ readonly run_id: string; readonly by_kind: Readonly<Record<string, number>> }> {
    return { run_id: runId, by_kind: await this.store.counts(runId) };
  }

  @Post('verifications')
  @HttpCode(202)
  @RequirePermission('audit.verify')
  @ApiOperation({ summary: 'Checks signatures, the tree from its leaves up, and every leaf against the bus' })
  verify(): AuditVerification {
    return this.verifications.start();
  }

  @Get('verifications/:verification_id')
  @RequirePermission('audit.verify')
  @ApiOperation({ summary: 'How far a verification is, or what it found' })
  verification(@Param('verification_id') id: string): AuditVerification {
    return this.verifications.find(id);
  }

  async #newest(): Promise<string> {
    const { published } = await this.store.state();
    const note = published === 0 ? null : await this.objects.checkpoint(published);
    if (note === null) throw new ProbityError('DLA_LOG_EMPTY', 'nothing was signed yet');
    return note;
  }

  async #demand(path: string): Promise<Buffer> {
    const bytes = await this.objects.read(path);
    if (bytes === null) throw new ProbityError('INTERNAL', `${path} of the audit log is missing`);
    return bytes;
  }
}

function wholeOf(text: string, name: string): number {
  if (/^(0|[1-9][0-9]{0,14})$/.test(text)) return Number(text);
  throw new ProbityError('HTTP_REQUEST_INVALID', `${name} is a whole number`);
}
