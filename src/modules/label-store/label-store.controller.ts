import { Controller, Get, Param } from '@nestjs/common';
import { ApiOperation, ApiParam, ApiTags } from '@nestjs/swagger';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { RequirePermission } from '../../substrate/http/principal.js';
import { type Feed, LabelStoreStore } from './label-store.store.js';

@ApiTags('labels')
@Controller('v1/runs')
export class LabelStoreController {
  constructor(private readonly store: LabelStoreStore) {}

  @Get(':run_id/labels')
  @RequirePermission('labels.read')
  @ApiOperation({ summary: "How far a run's labels have been published" })
  @ApiParam({ name: 'run_id', description: 'The run, as 32 hex digits' })
  async feed(@Param('run_id') runId: string): Promise<Omit<Feed, 'pins'>> {
    const feed = /^[0-9a-f]{32}$/.test(runId) ? await this.store.find(runId) : null;
    if (feed === null) throw new ProbityError('LBL_FEED_NOT_FOUND', 'no READY of this run was read yet');
    const { pins: _pins, ...shown } = feed;
    return shown;
  }
}
