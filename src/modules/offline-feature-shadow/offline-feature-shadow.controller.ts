import { Body, Controller, Get, HttpCode, Param, Post, Query, Res, StreamableFile } from '@nestjs/common';
import { ApiBody, ApiOperation, ApiProduces, ApiQuery, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { Readable } from 'node:stream';
import { type Digest, isDigest } from '../../rails/digest.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { validatorOf } from '../../rails/validator.js';
import { Caller, RequirePermission } from '../../substrate/http/principal.js';
import { CURSOR, cursorOf, documented, LIMIT, limitOf } from '../../substrate/http/requests.js';
import type { Principal } from '../../substrate/identity/identity.port.js';
import { type BuildAnswer, BuildIntentSchema, type BuildState, type BuildStatus } from './dataset.schema.js';
import { DatasetObjects } from './dataset-reader.js';
import type { DatasetReading } from './offline-feature-shadow.port.js';
import { OfflineFeatureShadowService } from './offline-feature-shadow.service.js';
import { OfflineFeatureShadowStore } from './offline-feature-shadow.store.js';

const intents = validatorOf(BuildIntentSchema, 'the request');

@ApiTags('datasets')
@Controller('v1/datasets')
export class OfflineFeatureShadowController {
  constructor(
    private readonly shadow: OfflineFeatureShadowService,
    private readonly datasets: DatasetObjects,
    private readonly store: OfflineFeatureShadowStore,
  ) {}

  @Post()
  @HttpCode(202)
  @RequirePermission('datasets.build')
  @ApiOperation({
    summary: 'Asks for a dataset, or for a proof that what is rebuilt is what was served',
    description:
      'The same request_id again is the same build. The same plan is built once, whoever asks: ALREADY_PUBLISHED then. A time or the head chooses offsets once, when it is asked for.',
  })
  @ApiBody({ schema: documented(BuildIntentSchema) })
  async request(@Body() body: unknown, @Caller() caller: Principal): Promise<BuildAnswer> {
    const verdict = intents.check(body);
    if (verdict.ok) return await this.shadow.accept(verdict.value, caller.actor);
    const { at, says } = verdict.fault;
    throw new ProbityError('OFS_INTENT_INVALID', `${at === '' ? 'the body' : at} ${says}`);
  }

  @Get()
  @RequirePermission('datasets.read')
  @ApiOperation({ summary: 'Datasets and builds, youngest first' })
  @ApiQuery(LIMIT)
  @ApiQuery(CURSOR)
  @ApiQuery({ name: 'run', required: false, description: 'of this run alone' })
  async list(
    @Query() { limit: limitText, cursor, run }: Readonly<Record<string, string | undefined>>,
  ): Promise<{ readonly builds: readonly BuildStatus[]; readonly next_cursor?: string }> {
    const limit = limitOf(limitText);
    const before = cursorOf(cursor);
    const rows = await this.store.list({
      limit: limit + 1,
      ...(before === null ? {} : { before }),
      ...(run === undefined ? {} : { runId: run }),
    });
    const last = rows[limit - 1];
    return {
      builds: rows.slice(0, limit).map(({ build }) => build),
      ...(rows.length > limit && last !== undefined ? { next_cursor: String(last.number) } : {}),
    };
  }

  @Get(':id')
  @RequirePermission('datasets.read')
  @ApiOperation({ summary: 'Where a build stands, and how it got there' })
  async show(@Param('id') id: string): Promise<{
    readonly build: BuildStatus;
    readonly states: readonly { readonly state: BuildState; readonly at: string }[];
  }> {
    const planId = idOf(id);
    return { build: await this.shadow.status(planId), states: await this.store.history(planId) };
  }

  @Get(':id/manifest')
  @RequirePermission('datasets.read')
  @ApiOperation({
    summary: 'The manifest with its receipt',
    description:
      'Every file of the dataset is read and its digest taken again first; what was changed is refused by name.',
  })
  async manifest(@Param('id') id: string): Promise<DatasetReading> {
    return await this.shadow.dataset({ dataset_manifest_id: idOf(id) });
  }

  @Get(':id/files/:number')
  @RequirePermission('datasets.read')
  @ApiOperation({
    summary: 'A file of the dataset, by its place in the manifest from 0',
    description:
      'What is cut off or differs from the digest of the manifest is not the file: take the digest of what came.',
  })
  @ApiProduces('application/vnd.apache.parquet')
  async file(
    @Param('id') id: string,
    @Param('number') number: string,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<StreamableFile> {
    const planId = idOf(id);
    const { detail } = await this.shadow.status(planId);
    const { manifest } = await this.datasets.read(planId, detail.manifest);
    const found = manifest.built.materialisations[numberOf(number, 'the number of the file')];
    if (found === undefined) throw new ProbityError('OFS_DATASET_NOT_FOUND', 'the dataset has no such file');
    const { ref } = found;
    void reply.header('content-length', String(ref.size));
    return new StreamableFile(Readable.from(this.datasets.open(ref)), { type: ref.media_type });
  }

  @Post(':id/cancel')
  @HttpCode(200)
  @RequirePermission('datasets.build')
  @ApiOperation({ summary: 'Ends a build that nobody wants any more' })
  async cancel(@Param('id') id: string, @Caller() caller: Principal): Promise<BuildStatus> {
    return await this.shadow.cancel(idOf(id), caller.actor);
  }
}

function idOf(text: string): Digest {
  if (isDigest(text)) return text;
  throw new ProbityError('OFS_DATASET_NOT_FOUND', 'the id of a dataset is 64 hex digits');
}

function numberOf(text: string, what: string): number {
  if (/^[0-9]{1,15}$/.test(text)) return Number(text);
  throw new ProbityError('HTTP_REQUEST_INVALID', `${what} is a whole number`);
}
