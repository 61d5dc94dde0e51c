import { Controller, Get, Query } from '@nestjs/common';
import { ApiOperation, ApiQuery, ApiTags } from '@nestjs/swagger';
import { ProbityError } from '../../rails/errors/probity-error.js';
import type { Posture } from '../../rails/events/posture.schema.js';
import { RequirePermission } from '../../substrate/http/principal.js';
import { GLOBAL_SCOPE } from './degrade-ladder.port.js';
import { DegradeLadderService } from './degrade-ladder.service.js';
import { DegradeLadderStore, type PostureRow } from './degrade-ladder.store.js';
import type { Reading } from './ladder.core.js';

const LIMIT_MAX = 200;

@ApiTags('posture')
@Controller('v1/posture')
export class DegradeLadderController {
  constructor(
    private readonly ladder: DegradeLadderService,
    private readonly store: DegradeLadderStore,
  ) {}

  @Get()
  @RequirePermission('dl.read')
  @ApiOperation({ summary: 'The posture in force, with the readings that it stands on' })
  async current(): Promise<{ readonly posture: Posture | null; readonly readings: readonly Reading[] }> {
    const { posture } = await this.ladder.posture({ scope_key: GLOBAL_SCOPE });
    return { posture: posture as Posture | null, readings: this.ladder.readings };
  }

  @Get('history')
  @RequirePermission('dl.read')
  @ApiOperation({ summary: 'Every change of the posture, youngest first' })
  @ApiQuery({
    name: 'limit',
    required: false,
    schema: { type: 'integer', minimum: 1, maximum: LIMIT_MAX, default: 50 },
  })
  @ApiQuery({ name: 'cursor', required: false, description: 'next_cursor of the page before' })
  async history(
    @Query('limit') limitText = '50',
    @Query('cursor') cursor?: string,
  ): Promise<{ readonly changes: readonly PostureRow[]; readonly next_cursor?: string }> {
    const limit = Number(limitText);
    if (!Number.isInteger(limit) || limit < 1 || limit > LIMIT_MAX)
      throw new ProbityError('HTTP_REQUEST_INVALID', `limit is a whole number from 1 to ${LIMIT_MAX}`);
    if (cursor !== undefined && !/^[1-9][0-9]{0,15}$/.test(cursor))
      throw new ProbityError('HTTP_REQUEST_INVALID', 'cursor is the next_cursor of a page');
    const rows = await this.store.history(GLOBAL_SCOPE, cursor === undefined ? null : Number(cursor), limit + 1);
    const changes = rows.slice(0, limit);
    const last = changes.at(-1);
    return {
      changes,
      ...(rows.length > limit && last !== undefined ? { next_cursor: String(last.posture.posture_seq) } : {}),
    };
  }
}
