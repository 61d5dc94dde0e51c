import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiBody, ApiOperation, ApiQuery, ApiTags } from '@nestjs/swagger';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { validatorOf } from '../../rails/validator.js';
import { RequirePermission } from '../../substrate/http/principal.js';
import { CURSOR, cursorBehind, documented, PageLimit } from '../../substrate/http/requests.js';
import { type DryRun, type DryRunChanges, DryRunRequestSchema } from './dry-run.schema.js';
import { DryRunService } from './dry-run.service.js';

const requests = validatorOf(DryRunRequestSchema, 'the request');
const LIMIT = new PageLimit(500);

@ApiTags('decisions')
@Controller('v1/decisions/dry-runs')
export class DryRunController {
  constructor(private readonly dryRuns: DryRunService) {}

  @Post()
  @HttpCode(202)
  @RequirePermission('decision.simulate')
  @ApiOperation({
    summary: 'Decides events of the past once more with other rules, another policy or another bundle',
    description:
      'Nothing of it is ever in force. Each decision is made again without any change first; where one differs from its record there is no report, and the first is named.',
  })
  @ApiBody({ schema: documented(DryRunRequestSchema) })
  async start(@Body() body: unknown): Promise<DryRun> {
    const checked = requests.check(body);
    if (!checked.ok) throw new ProbityError('DF_CANDIDATE_REFUSED', `${checked.fault.at || '/'} ${checked.fault.says}`);
    return await this.dryRuns.start(checked.value);
  }

  @Get(':dry_run_id')
  @RequirePermission('decision.simulate')
  @ApiOperation({ summary: 'How far a dry run is, or what it found' })
  find(@Param('dry_run_id') id: string): DryRun {
    return this.dryRuns.find(id);
  }

  @Get(':dry_run_id/changes')
  @RequirePermission('decision.simulate')
  @ApiOperation({ summary: 'Decisions that would have had another outcome; once the dry run is done' })
  @ApiQuery(LIMIT.query)
  @ApiQuery(CURSOR)
  changes(@Param('dry_run_id') id: string, @Query() query: Readonly<Record<string, string>>): DryRunChanges {
    return this.dryRuns.changes(id, cursorBehind(query['cursor']), LIMIT.of(query['limit']));
  }
}
