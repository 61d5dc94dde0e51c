import { Controller, Get, Query } from '@nestjs/common';
import { ApiOperation, ApiQuery, ApiTags } from '@nestjs/swagger';
import { RequirePermission } from '../../substrate/http/principal.js';
import { CURSOR, cursorOf, FROM, LIMIT, limitOf, timeOf, TO } from '../../substrate/http/requests.js';
import { type FactRow, RunOperateStore } from './run-operate.store.js';

@ApiTags('governance')
@Controller('v1/changes')
export class RunOperateController {
  constructor(private readonly store: RunOperateStore) {}

  @Get()
  @RequirePermission('ops.read')
  @ApiOperation({ summary: 'Changes of what is in force, youngest first' })
  @ApiQuery(LIMIT)
  @ApiQuery(CURSOR)
  @ApiQuery(FROM)
  @ApiQuery(TO)
  @ApiQuery({ name: 'policy', required: false, description: 'of this policy alone' })
  async changes(
    @Query('limit') limitText?: string,
    @Query('cursor') cursor?: string,
    @Query('from') from?: string,
    @Query('to') to?: string,
    @Query('policy') policy?: string,
  ): Promise<{ readonly changes: readonly FactRow[]; readonly next_cursor?: string }> {
    const limit = limitOf(limitText);
    const before = cursorOf(cursor);
    const rows = await this.store.changes({
      limit: limit + 1,
      ...(before === null ? {} : { before }),
      ...(from === undefined ? {} : { from: timeOf(from, 'from') }),
      ...(to === undefined ? {} : { to: timeOf(to, 'to') }),
      ...(policy === undefined ? {} : { subject: policy }),
    });
    const changes = rows.slice(0, limit);
    const last = changes.at(-1);
    return {
      changes,
      ...(rows.length > limit && last !== undefined ? { next_cursor: String(last.number) } : {}),
    };
  }
}
