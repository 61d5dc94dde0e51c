import { Body, Controller, Get, HttpCode, Param, Post, Query, Req } from '@nestjs/common';
import { ApiBody, ApiConsumes, ApiOkResponse, ApiOperation, ApiParam, ApiQuery, ApiTags } from '@nestjs/swagger';
import { ROOT_CONTEXT } from '@opentelemetry/api';
import { Type } from '@sinclair/typebox';
import type { FastifyRequest } from 'fastify';
import { type ManifestFingerprint, ManifestFingerprintSchema } from '../../rails/pins.js';
import { type Ref, RefSchema } from '../../rails/ref.js';
import { closed, safeInteger } from '../../rails/schema.js';
import { validatorOf } from '../../rails/validator.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { bodyOf, mediaTypeOf, StreamedBody } from '../../substrate/http/bodies.js';
import { Caller, RequirePermission } from '../../substrate/http/principal.js';
import { documented } from '../../substrate/http/requests.js';
import { contextOf } from '../../substrate/http/telemetry.hooks.js';
import type { Principal } from '../../substrate/identity/identity.port.js';
import type { CallContext } from '../../substrate/rpc/rpc.port.js';
import { type Preview, PreviewRequest, PreviewSchema, type WorldSeal, WorldSealSchema } from './data-engine.port.js';
import { DataEngineService } from './data-engine.service.js';
import { PACKS } from './generate/packs.js';
import { PRESETS } from './import/presets.js';
import { SourceStore } from './source-store.js';
import { type RowsPage, WorldReader } from './world-reader.js';

const ANSWER_MS = 10_000;
const ROWS_DEFAULT = 100;
const ROWS_MAX = 1_000;

const previews = validatorOf(PreviewRequest, 'the request');
const worlds = validatorOf(closed({ fingerprint: ManifestFingerprintSchema }), 'the path');
const pages = validatorOf(
  closed({
    after: Type.Optional(safeInteger(0, 'number of a row')),
    limit: Type.Integer({ minimum: 1, maximum: ROWS_MAX }),
  }),
  'the query',
);

const UploadedSchema = closed({
  ref: RefSchema,
  outcome: Type.Union([Type.Literal('NEW'), Type.Literal('DUPLICATE')]),
});
const OffersSchema = Type.Record(
  Type.String(),
  closed({ title: Type.String(), parameters: Type.Unsafe<object>({ type: 'object' }) }),
);
const RowsSchema = closed({
  output_id: Type.String(),
  rows: Type.Array(
    closed({ number: safeInteger(0, 'number of the row'), row: Type.Unsafe<object>({ type: 'object' }) }),
  ),
  next: Type.Optional(safeInteger(0, 'pass it as `after` for the next page')),
});

const FINGERPRINT = { name: 'fingerprint', description: 'The world, as 64 hex digits' };

@ApiTags('engine')
@Controller('v1/engine')
export class DataEngineController {
  constructor(
    private readonly engine: DataEngineService,
    private readonly sources: SourceStore,
    private readonly reader: WorldReader,
    private readonly clock: Clock,
  ) {}

  @Post('sources')
  @HttpCode(200)
  @StreamedBody()
  @RequirePermission('engine.write')
  @ApiOperation({ summary: 'Keeps a file, packed or not, as it is; the same bytes again are recognised' })
  @ApiConsumes('application/octet-stream', 'text/csv', 'application/x-ndjson', 'application/gzip')
  @ApiBody({ schema: { type: 'string', format: 'binary' } })
  @ApiOkResponse({ schema: documented(UploadedSchema) })
  async upload(@Req() http: FastifyRequest): Promise<{ readonly ref: Ref; readonly outcome: string }> {
    const { ref, outcome } = await this.sources.take(bodyOf(http), mediaTypeOf(http) || 'application/octet-stream');
    return { ref, outcome };
  }

  @Post('previews')
  @HttpCode(200)
  @RequirePermission('engine.write')
  @ApiOperation({ summary: 'What an import would make of a file, without making it; ask again until it is DONE' })
  @ApiBody({ schema: documented(PreviewRequest) })
  @ApiOkResponse({ schema: documented(PreviewSchema) })
  async preview(@Body() body: unknown, @Caller() caller: Principal, @Req() http: FastifyRequest): Promise<Preview> {
    return await this.engine.preview(previews.demand(body), this.#context(caller, http));
  }

  @Get('worlds/:fingerprint')
  @RequirePermission('engine.read')
  @ApiOperation({ summary: 'The seal of a world: its outputs by ref, its counts, and whether it came out well' })
  @ApiParam(FINGERPRINT)
  @ApiOkResponse({ schema: documented(WorldSealSchema) })
  async world(@Param('fingerprint') fingerprint: string): Promise<WorldSeal> {
    return (await this.reader.demand(worldIn(fingerprint))).seal;
  }

  @Get('worlds/:fingerprint/outputs/:output_id/rows')
  @RequirePermission('engine.read')
  @ApiOperation({ summary: 'Rows of an output, for people; rejected rows also of a world that failed its gate' })
  @ApiParam(FINGERPRINT)
  @ApiParam({ name: 'output_id', description: 'One of the outputs that the seal lists: rejects, labels …' })
  @ApiQuery({ name: 'after', required: false, schema: { type: 'integer', minimum: 0 } })
  @ApiQuery({
    name: 'limit',
    required: false,
    schema: { type: 'integer', minimum: 1, maximum: ROWS_MAX, default: ROWS_DEFAULT },
  })
  @ApiOkResponse({ schema: documented(RowsSchema) })
  async rows(
    @Param('fingerprint') fingerprint: string,
    @Param('output_id') outputId: string,
    @Query() query: Readonly<Record<string, string>>,
  ): Promise<RowsPage> {
    const { after, limit = String(ROWS_DEFAULT), ...rest } = query;
    const page = pages.demand({
      ...rest,
      limit: numberIn(limit),
      ...(after === undefined ? {} : { after: numberIn(after) }),
    });
    return await this.reader.rows(worldIn(fingerprint), outputId, page.after ?? -1, page.limit);
  }

  @Get('presets')
  @RequirePermission('engine.read')
  @ApiOperation({ summary: 'Mappings of known data sets, to be used as they are or changed first' })
  @ApiOkResponse({ schema: { type: 'object', properties: { presets: documented(OffersSchema) } } })
  presets(): { readonly presets: typeof PRESETS } {
    return { presets: PRESETS };
  }

  @Get('packs')
  @RequirePermission('engine.read')
  @ApiOperation({ summary: 'Parameter packs of worlds that the engine can generate' })
  @ApiOkResponse({ schema: { type: 'object', properties: { packs: documented(OffersSchema) } } })
  packs(): { readonly packs: typeof PACKS } {
    return { packs: PACKS };
  }

  #context(caller: Principal, http: FastifyRequest): CallContext {
    return {
      caller,
      deadlineAtMs: this.clock.monotonicMs() + ANSWER_MS,
      signal: new AbortController().signal,
      trace: contextOf(http) ?? ROOT_CONTEXT,
    };
  }
}

function worldIn(fingerprint: string): ManifestFingerprint {
  return worlds.demand({ fingerprint }).fingerprint;
}

/** What is no number stays a text, and is refused as one. */
function numberIn(text: string): number | string {
  return /^[0-9]{1,15}$/.test(text) ? Number(text) : text;
}
