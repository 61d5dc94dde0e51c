import { Controller, Get, Query } from '@nestjs/common';
import { ApiOperation, ApiQuery, ApiTags } from '@nestjs/swagger';
import type { GovernanceFact } from '../../rails/events/governance-fact.schema.js';
import { About } from '../../substrate/about.js';
import { RequirePermission } from '../../substrate/http/principal.js';
import { CURSOR, FROM, LIMIT, timePage, TO } from '../../substrate/http/requests.js';
import { trainFact } from './train-facts.core.js';
import { TrainFactsStore } from './train-facts.store.js';

@ApiTags('training runs')
@Controller('v1/training-runs/facts')
export class TrainFactsController {
  constructor(
    private readonly store: TrainFactsStore,
    private readonly about: About,
  ) {}

  @Get()
  @RequirePermission('ops.read')
  @ApiOperation({
    summary: 'Who asked for trainings, what the gates said, and how they ended, as facts of governance; youngest first',
  })
  @ApiQuery(LIMIT)
  @ApiQuery(CURSOR)
  @ApiQuery(FROM)
  @ApiQuery(TO)
  async facts(@Query() query: Readonly<Record<string, string | undefined>>): Promise<{
    readonly changes: readonly { readonly fact: GovernanceFact }[];
    readonly next_cursor?: string;
  }> {
    const { rows, ...next } = await timePage(query, async (page) => await this.store.rows(page));
    return { changes: rows.map((row) => ({ fact: trainFact(row, this.about.env) })), ...next };
  }
}
