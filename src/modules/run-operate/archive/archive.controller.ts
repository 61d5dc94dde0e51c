import { Body, Controller, Get, HttpCode, Param, Post } from '@nestjs/common';
import { ApiBody, ApiOperation, ApiTags } from '@nestjs/swagger';
import { validatorOf } from '../../../rails/validator.js';
import { Bus } from '../../../substrate/bus/bus.port.js';
import { RequirePermission } from '../../../substrate/http/principal.js';
import { demandBody, documented } from '../../../substrate/http/requests.js';
import { Policies } from '../../../substrate/policy/policy.port.js';
import { marksOf } from '../../../substrate/bus/standing-marks.js';
import { ARCHIVE_POLICY } from './archive.policy.js';
import { type ArchivedPartition, ArchiveStore } from './archive.store.js';
import {
  type ArchiveVerification,
  ArchiveVerificationRequestSchema,
  ArchiveVerificationService,
} from './archive-verification.service.js';

const requests = validatorOf(ArchiveVerificationRequestSchema, 'the request');

export interface ArchiveStatus {
  readonly partitions: readonly (ArchivedPartition & {
    /** The oldest offset that the bus still has, and how far the archive is behind its end. */
    readonly low_water: number;
    readonly behind: number;
  })[];
}

@ApiTags('archive')
@Controller('v1/archive')
export class ArchiveController {
  constructor(
    private readonly store: ArchiveStore,
    private readonly verifications: ArchiveVerificationService,
    private readonly policies: Policies,
    private readonly bus: Bus,
  ) {}

  @Get()
  @RequirePermission('ops.read')
  @ApiOperation({ summary: 'What is archived of each partition, and how far that is behind the bus' })
  async status(): Promise<ArchiveStatus> {
    const standing = await this.store.partitions();
    const { topics } = this.policies.inForce(ARCHIVE_POLICY).body;
    const marks = (await Promise.all(topics.map((topic) => marksOf(this.bus, topic)))).flat();
    return {
      partitions: marks.map(({ topic, partition, lowWater, highWater }) => {
        const found = standing.find((one) => one.topic === topic && one.partition === partition);
        const nothing = { chunks: 0, records: 0, stored_bytes: 0, last_archived_at_utc: null, gaps: [] };
        const none = { topic, partition, ...nothing, first_offset: lowWater, next_offset: lowWater };
        const archived = found ?? none;
        return { ...archived, low_water: lowWater, behind: Math.max(0, highWater - archived.next_offset) };
      }),
    };
  }

  @Post('verifications')
  @HttpCode(202)
  @RequirePermission('ops.verify')
  @ApiOperation({
    summary: 'Reads the archive again: every byte, every count, every link, without a gap',
    description: 'What is missing or was changed first is named with topic, partition and offsets.',
  })
  @ApiBody({ schema: documented(ArchiveVerificationRequestSchema) })
  verify(@Body() body: unknown): ArchiveVerification {
    return this.verifications.start(demandBody(requests, body));
  }

  @Get('verifications/:id')
  @RequirePermission('ops.verify')
  @ApiOperation({ summary: 'How far a verification is, and what it found' })
  verification(@Param('id') id: string): ArchiveVerification {
    return this.verifications.find(id);
  }
}
