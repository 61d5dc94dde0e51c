import { Controller, Get, Query } from '@nestjs/common';
import { ApiOperation, ApiQuery, ApiTags } from '@nestjs/swagger';
import type { Posture } from '../../rails/events/posture.schema.js';
import { RequirePermission } from '../../substrate/http/principal.js';
import { CURSOR, cursorOf, LIMIT, limitOf } from '../../substrate/http/requests.js';
import { GLOBAL_SCOPE } from './degrade-ladder.port.js';
import { DegradeLadderService } from './degrade-ladder.service.js';
import { DegradeLadderStore, type PostureRow } from './degrade-ladder.store.js';
import type { Reading } from './ladder.core.js';

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
  @ApiQuery(LIMIT)
  @ApiQuery(CURSOR)
  async history(
    @Query('limit') limitText?: string,
    @Query('cursor') cursor?: string,
  ): Promise<{ readonly changes: readonly PostureRow[]; readonly next_cursor?: string }> {
    const limit = limitOf(limitText);
    const rows = await this.store.history(GLOBAL_SCOPE, cursorOf(cursor), limit + 1);
    const changes = rows.slice(0, limit);
    const last = changes.at(-1);
    return {
      changes,
      ...(rows.length > limit && last !== undefined ? { next_cursor: String(last.posture.posture_seq) } : {}),
    };
  }
}
