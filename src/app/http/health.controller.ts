import { Controller, Get, HttpStatus, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiProperty, ApiServiceUnavailableResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { Readiness } from '../readiness.js';
import { RequirePermission } from '../../substrate/http/principal.js';

class LiveAnswer {
  @ApiProperty({ enum: ['live'] })
  status!: 'live';
  @ApiProperty({ description: 'Version of the program' })
  version!: string;
}

class DependencyAnswer {
  @ApiProperty({ example: 'database' })
  name!: string;
  @ApiProperty()
  ok!: boolean;
  @ApiProperty({ description: 'What was tried and what came of it' })
  detail!: string;
  @ApiProperty({ description: 'Milliseconds that the trial took' })
  took_ms!: number;
}

class ReadyAnswer {
  @ApiProperty({ enum: ['ready', 'not ready'] })
  status!: 'ready' | 'not ready';
  @ApiProperty({ type: [String], description: 'Roles that run in this process' })
  roles!: readonly string[];
  @ApiProperty({ type: [DependencyAnswer] })
  dependencies!: readonly DependencyAnswer[];
}

@ApiTags('health')
@Controller('health')
@RequirePermission('health.read')
export class HealthController {
  constructor(private readonly readiness: Readiness) {}

  /** Live means: the event loop answers. Whoever restarts on this must not restart because a database is down. */
  @Get('live')
  @ApiOperation({ summary: 'Does the process answer at all?' })
  @ApiOkResponse({ type: LiveAnswer })
  live(): LiveAnswer {
    return { status: 'live', version: this.readiness.version };
  }

  @Get('ready')
  @ApiOperation({ summary: 'Can it take work now, and if not, what is missing?' })
  @ApiOkResponse({ type: ReadyAnswer })
  @ApiServiceUnavailableResponse({ type: ReadyAnswer })
  async ready(@Res({ passthrough: true }) reply: FastifyReply): Promise<ReadyAnswer> {
    const report = await this.readiness.report();
    if (!report.ready) reply.status(HttpStatus.SERVICE_UNAVAILABLE);
    return {
      status: report.ready ? 'ready' : 'not ready',
      roles: report.roles,
      dependencies: report.dependencies.map(({ name, health }) => ({
        name,
        ok: health.ok,
        detail: health.detail,
        took_ms: Math.round(health.tookMs * 10) / 10,
      })),
    };
  }
}
