import { Readable } from 'node:stream';
import { Controller, Get, Param, Query, Res } from '@nestjs/common';
import { ApiOperation, ApiProduces, ApiQuery, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { Caller, RequirePermission } from '../../substrate/http/principal.js';
import { LIMIT, limitOf } from '../../substrate/http/requests.js';
import type { Principal } from '../../substrate/identity/identity.port.js';
import { STATUSES } from './case.schema.js';
import { CaseExport, type ExportRow, FORMATS } from './case-export.js';
import { CaseEvidence, type EvidenceRead } from './case-evidence.js';
import { filterOf, numberOf } from './case-query.js';

const PURPOSE_MAX = 500;
const PURPOSE = { name: 'purpose', required: true, description: 'what for; it is recorded' } as const;
/** What a browser shows as it is; everything else is a file to save. */
const SHOWN: ReadonlySet<string> = new Set(['application/json', 'application/x-ndjson']);

/** What leaves the workbench: each time an act with a record of its own. */
@ApiTags('cases')
@Controller('v1/cases')
export class CaseDisclosuresController {
  constructor(
    private readonly evidence: CaseEvidence,
    private readonly exporter: CaseExport,
  ) {}

  /** The permission is asked for inside: who tried without it is written down, too. */
  @Get('export')
  @RequirePermission('cases.read')
  @ApiOperation({
    summary: 'Cases with their entries as a file, youngest first, all of one moment; an act that is recorded',
    description:
      'Wants the permission cases.export. Filters are those of the list. CSV has the cases alone: a timeline is not flat.',
  })
  @ApiQuery(PURPOSE)
  @ApiQuery({ name: 'format', required: false, schema: { type: 'string', enum: [...FORMATS], default: 'ndjson' } })
  @ApiQuery({ name: 'status', required: false, schema: { type: 'string', enum: [...STATUSES] } })
  @ApiQuery({ name: 'queue', required: false })
  @ApiQuery({ name: 'assignee', required: false, description: 'HUMAN::…, me, or none for those that nobody has' })
  @ApiQuery({ name: 'run', required: false, description: 'of this run alone' })
  @ApiProduces('application/x-ndjson', 'text/csv')
  async export(
    @Query() query: Readonly<Record<string, string | undefined>>,
    @Caller() caller: Principal,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const format = FORMATS.find((one) => one === (query['format'] ?? 'ndjson'));
    if (format === undefined) throw new ProbityError('HTTP_REQUEST_INVALID', `format is one of ${FORMATS.join(', ')}`);
    const asked = { filter: filterOf(query, caller), format, purpose: purposeOf(query['purpose']) };
    const pieces = await this.exporter.begin(asked, caller);
    await reply
      .type(format === 'csv' ? 'text/csv; charset=utf-8' : 'application/x-ndjson')
      .header('content-disposition', `attachment; filename="cases.${format}"`)
      .header('cache-control', 'no-store')
      .send(Readable.from(pieces, { objectMode: false }));
  }

  @Get('exports')
  @RequirePermission('cases.read')
  @ApiOperation({ summary: 'Who took cases out, which, and what for; youngest first' })
  @ApiQuery(LIMIT)
  @ApiQuery({ name: 'cursor', required: false, description: 'next_cursor of the page before' })
  async exports(
    @Query('limit') limitText?: string,
    @Query('cursor') cursor?: string,
  ): Promise<{ readonly exports: readonly ExportRow[]; readonly next_cursor?: string }> {
    const limit = limitOf(limitText);
    const rows = await this.exporter.exports(limit + 1, numberOf(cursor));
    const last = rows[limit - 1];
    return {
      exports: rows.slice(0, limit),
      ...(rows.length > limit && last !== undefined ? { next_cursor: String(last.number) } : {}),
    };
  }

  /** The permission is asked for inside: who tried without it is written down, too. */
  @Get(':case_id/evidence/:place')
  @RequirePermission('cases.read')
  @ApiOperation({
    summary: 'A piece of evidence, verified, as an act that is recorded',
    description:
      'Wants the permission cases.evidence. The record of who read what, and what for, is written before a byte leaves, also where it is refused.',
  })
  @ApiQuery(PURPOSE)
  @ApiProduces('application/json', 'application/octet-stream')
  async read(
    @Param('case_id') caseId: string,
    @Param('place') place: string,
    @Query('purpose') purpose: string | undefined,
    @Caller() caller: Principal,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    if (!/^[1-9][0-9]{0,8}$/.test(place))
      throw new ProbityError('HTTP_REQUEST_INVALID', 'evidence is named by its place in the case, from 1');
    const given = await this.evidence.read(caseId, Number(place), purposeOf(purpose), caller);
    await reply
      .type(SHOWN.has(given.mediaType) ? given.mediaType : 'application/octet-stream')
      .header('etag', `"${given.digest}"`)
      .header('x-content-type-options', 'nosniff')
      .header('cache-control', 'no-store')
      .send(Buffer.from(given.bytes));
  }

  @Get(':case_id/evidence-reads')
  @RequirePermission('cases.read')
  @ApiOperation({ summary: 'Who read evidence of the case, and what for; youngest first' })
  @ApiQuery(LIMIT)
  @ApiQuery({ name: 'cursor', required: false, description: 'next_cursor of the page before' })
  async reads(
    @Param('case_id') caseId: string,
    @Query('limit') limitText?: string,
    @Query('cursor') cursor?: string,
  ): Promise<{ readonly reads: readonly EvidenceRead[]; readonly next_cursor?: string }> {
    const limit = limitOf(limitText);
    const rows = await this.evidence.reads(caseId, limit + 1, numberOf(cursor));
    const last = rows[limit - 1];
    return {
      reads: rows.slice(0, limit),
      ...(rows.length > limit && last !== undefined ? { next_cursor: String(last.number) } : {}),
    };
  }
}

function purposeOf(text: string | undefined): string {
  const purpose = text?.trim() ?? '';
  if (purpose !== '' && purpose.length <= PURPOSE_MAX && !purpose.includes('\0')) return purpose;
  throw new ProbityError('HTTP_REQUEST_INVALID', `purpose says in 1 to ${PURPOSE_MAX} characters what it is for`);
}
