import { Controller, Get, Param, Query } from '@nestjs/common';
import { ApiOperation, ApiQuery, ApiTags } from '@nestjs/swagger';
import { ProbityError } from '../../rails/errors/probity-error.js';
import type { PolicyRev } from '../../rails/policy-rev.js';
import { RequirePermission } from '../../substrate/http/principal.js';
import { CURSOR, cursorOf, LIMIT, limitOf } from '../../substrate/http/requests.js';
import { Policies } from '../../substrate/policy/policy.port.js';
import { ACTIONS_POLICY } from './actions-layer.policy.js';
import {
  ActionsLayerStore,
  type ActionRow,
  type CaseRow,
  type DispositionRow,
  type NotificationRow,
} from './actions-layer.store.js';
import { ActionExecutor } from './outward/action-executor.js';
import { type AttemptRow, type Backlog, WorkStore } from './outward/work.store.js';

export interface ActionsStatus {
  readonly policy_rev: PolicyRev;
  readonly posture: string;
  /** Effects outside that are not ended, by target and state. */
  readonly work: Backlog['work'];
  /** Circuit breakers of this process, by target. */
  readonly breakers: Readonly<Record<string, string>>;
  readonly outbox: { readonly waiting: number; readonly quarantined: number; readonly oldest: string | null };
}

@ApiTags('actions')
@Controller('v1')
export class ActionsLayerController {
  constructor(
    private readonly store: ActionsLayerStore,
    private readonly work: WorkStore,
    private readonly executor: ActionExecutor,
    private readonly policies: Policies,
  ) {}

  @Get('actions')
  @RequirePermission('al.read')
  @ApiOperation({ summary: 'Actions with what became of them, youngest first' })
  @ApiQuery(LIMIT)
  @ApiQuery(CURSOR)
  @ApiQuery({ name: 'decision', required: false })
  @ApiQuery({
    name: 'status',
    required: false,
    schema: { type: 'string', enum: ['EXECUTED', 'DENIED', 'FAILED', 'ACTIVE', 'IN_FLIGHT'] },
  })
  async list(
    @Query('limit') limitText?: string,
    @Query('cursor') cursor?: string,
    @Query('decision') decision?: string,
    @Query('status') status?: string,
  ): Promise<{ readonly actions: readonly ActionRow[]; readonly next_cursor?: string }> {
    const limit = limitOf(limitText);
    const before = cursorOf(cursor);
    const rows = await this.store.actions({
      limit: limit + 1,
      ...(before === null ? {} : { before }),
      ...(decision === undefined ? {} : { decision_id: decision }),
      ...(status === undefined ? {} : { status }),
    });
    return { actions: rows.slice(0, limit), ...cursorAfter(rows, limit) };
  }

  @Get('actions/status')
  @RequirePermission('al.read')
  @ApiOperation({ summary: 'Whether actions are carried out, what is under way outside, and what waits to be told' })
  async status(): Promise<ActionsStatus> {
    const { policy_rev, body } = this.policies.inForce(ACTIONS_POLICY);
    const [{ work }, outbox] = await Promise.all([this.work.backlog(), this.store.outbox()]);
    return { policy_rev, posture: body.posture, work, breakers: this.executor.breakers(), outbox };
  }

  @Get('actions/:idempotency_key')
  @RequirePermission('al.read')
  @ApiOperation({ summary: 'One action with its attempts, by its idempotency key' })
  async action(
    @Param('idempotency_key') key: string,
  ): Promise<ActionRow & { readonly attempts: readonly AttemptRow[] }> {
    const row = await this.store.action(key);
    if (row === null) throw new ProbityError('AL_ACTION_NOT_FOUND', 'no action was asked for under this key');
    return { ...row, attempts: await this.work.attempts(row.semantic_key) };
  }

  @Get('dispositions/:target_id')
  @RequirePermission('al.read')
  @ApiOperation({ summary: 'What a payment system is to do with a payment, by its own id' })
  @ApiQuery({ name: 'run', required: false, description: 'In this run alone' })
  async disposition(
    @Param('target_id') target: string,
    @Query('run') run?: string,
  ): Promise<{ readonly dispositions: readonly DispositionRow[] }> {
    const dispositions = await this.store.dispositions(target, run ?? null);
    if (dispositions.length === 0)
      throw new ProbityError('AL_DISPOSITION_NOT_FOUND', 'nothing was recorded of a payment of this id');
    return { dispositions };
  }

  @Get('case-queue')
  @RequirePermission('al.read')
  @ApiOperation({ summary: 'What waits for an analyst, youngest first' })
  @ApiQuery(LIMIT)
  @ApiQuery(CURSOR)
  async cases(
    @Query('limit') limitText?: string,
    @Query('cursor') cursor?: string,
  ): Promise<{ readonly cases: readonly CaseRow[]; readonly next_cursor?: string }> {
    const limit = limitOf(limitText);
    const rows = await this.store.cases(cursorOf(cursor), limit + 1);
    return { cases: rows.slice(0, limit), ...cursorAfter(rows, limit) };
  }

  @Get('notifications')
  @RequirePermission('al.read')
  @ApiOperation({ summary: 'What somebody is to know of, youngest first' })
  @ApiQuery(LIMIT)
  @ApiQuery(CURSOR)
  async notifications(
    @Query('limit') limitText?: string,
    @Query('cursor') cursor?: string,
  ): Promise<{ readonly notifications: readonly NotificationRow[]; readonly next_cursor?: string }> {
    const limit = limitOf(limitText);
    const rows = await this.store.notifications(cursorOf(cursor), limit + 1);
    return { notifications: rows.slice(0, limit), ...cursorAfter(rows, limit) };
  }
}

function cursorAfter(rows: readonly { readonly number: number }[], limit: number): { readonly next_cursor?: string } {
  const last = rows[limit - 1];
  return rows.length > limit && last !== undefined ? { next_cursor: String(last.number) } : {};
}
