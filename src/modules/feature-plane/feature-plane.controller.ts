import { Body, Controller, Get, HttpCode, Post, Req } from '@nestjs/common';
import { ApiBody, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Static } from '@sinclair/typebox';
import type { FastifyRequest } from 'fastify';
import type { PolicyRev } from '../../rails/policy-rev.js';
import { validatorOf } from '../../rails/validator.js';
import { RequirePermission } from '../../substrate/http/principal.js';
import { documented } from '../../substrate/http/requests.js';
import { FeatureEngine } from './feature-plane.engine.js';
import { SnapshotsRequest, SnapshotsResponse } from './feature-plane.port.js';
import { FeaturePlaneService } from './feature-plane.service.js';

const requests = validatorOf(SnapshotsRequest, 'the request');

export interface FeatureGroupView {
  readonly name: string;
  readonly version: number;
  readonly event_type: string;
  readonly key: readonly string[];
  readonly features: readonly object[];
}

export interface FeaturePlaneStatus {
  /** Which generation of the state answers; 1 until a backfill has put another one in its place. */
  readonly generation: number;
  readonly definitions: PolicyRev;
  readonly runs: readonly {
    readonly pins: object;
    readonly integrity: 'CLEAN' | 'DEGRADED';
    readonly invalid_records: number;
    readonly newest_event_micros: number | null;
    readonly events: number;
    readonly keys: number;
    readonly labels: number;
  }[];
  readonly partitions: readonly {
    readonly topic: string;
    readonly partition: number;
    readonly next_offset: number;
    /** An upper bound: offsets may have gaps. */
    readonly lag_offsets: number;
  }[];
  readonly input_basis: object;
  readonly rows_since_checkpoint: number;
  readonly checkpoint_age_ms: number | null;
}

@ApiTags('features')
@Controller('v1/features')
export class FeaturePlaneController {
  constructor(
    private readonly service: FeaturePlaneService,
    private readonly engine: FeatureEngine,
  ) {}

  @Post('snapshots')
  @HttpCode(200)
  @RequirePermission('ofp.read')
  @ApiOperation({
    summary: 'What was known before these events, at one basis',
    description:
      'One result per trigger, in their order. A trigger is named with its place on the traffic topic; the answer has applied everything before it on its own partition, or says STALE after wait_ms.',
  })
  @ApiBody({ schema: documented(SnapshotsRequest) })
  @ApiOkResponse({ schema: documented(SnapshotsResponse) })
  async snapshots(@Body() body: unknown, @Req() http: FastifyRequest): Promise<Static<typeof SnapshotsResponse>> {
    const request = requests.demand(body) as Static<typeof SnapshotsRequest>;
    const gone = new AbortController();
    http.raw.once('aborted', () => gone.abort());
    return await this.service.snapshots(request, { signal: gone.signal });
  }

  @Get('definitions')
  @RequirePermission('ofp.read')
  @ApiOperation({ summary: 'The definitions in force: groups, keys, windows' })
  definitions(): {
    readonly policy_rev: PolicyRev;
    readonly lateness: string;
    readonly groups: readonly FeatureGroupView[];
  } {
    const { policy_rev, body } = this.engine.definitions;
    return {
      policy_rev,
      lateness: body.lateness,
      groups: body.groups.map(({ name, version, event_type, key, features }) => ({
        name,
        version,
        event_type,
        key: key ?? [],
        features,
      })),
    };
  }

  @Get('status')
  @RequirePermission('ofp.read')
  @ApiOperation({ summary: 'How far the feature state has got, what it holds, and whether it is whole' })
  status(): FeaturePlaneStatus {
    const { engine } = this;
    return {
      generation: engine.owner.live,
      definitions: engine.definitions.policy_rev,
      runs: [...engine.runs].map(({ pins, invalid, state }) => {
        const { events, keys, labels } = state.size;
        const integrity = invalid > 0 ? 'DEGRADED' : 'CLEAN';
        return { pins, integrity, invalid_records: invalid, newest_event_micros: state.newest, events, keys, labels };
      }),
      partitions: [...engine.heads()].map(({ topic, partition, next, highWater }) => ({
        topic,
        partition,
        next_offset: next,
        lag_offsets: Math.max(0, highWater - next),
      })),
      input_basis: engine.vector.record(),
      rows_since_checkpoint: engine.runs.pending,
      checkpoint_age_ms: engine.checkpointAgeMs,
    };
  }
}
