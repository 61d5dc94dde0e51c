import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import { IsIn, IsInt, IsOptional, IsString, Length, Matches, Max, Min } from 'class-validator';
import { REASONS } from '../ingestion-gate.port.js';

const RUN_ID = /^[0-9a-f]{32}$/;
const EVENT_ID = /^[A-Za-z0-9][A-Za-z0-9._:~-]{0,127}$/;

export class BatchQuery {
  @ApiPropertyOptional({ enum: ['full', 'short'], description: 'short: decision, ids, reasons and place alone' })
  @IsOptional()
  @IsIn(['full', 'short'])
  receipts?: 'full' | 'short';
}

export class ReceiptsOfEventQuery {
  @ApiProperty({ description: 'The id that the producer gave' })
  @Matches(EVENT_ID)
  event_id!: string;

  @ApiPropertyOptional({ description: 'Of this run alone' })
  @IsOptional()
  @Matches(RUN_ID)
  run_id?: string;
}

export class QuarantineListQuery {
  @ApiPropertyOptional({ minimum: 1, maximum: 200, default: 50 })
  @IsOptional()
  @Type(() => Number)
  @IsInt()
  @Min(1)
  @Max(200)
  limit?: number;

  @ApiPropertyOptional({ description: 'next_cursor of the page before' })
  @IsOptional()
  @IsString()
  @Length(1, 200)
  cursor?: string;

  @ApiPropertyOptional()
  @IsOptional()
  @Matches(RUN_ID)
  run_id?: string;

  @ApiPropertyOptional({ enum: REASONS })
  @IsOptional()
  @IsIn(REASONS)
  reason?: string;

  @ApiPropertyOptional({ description: 'The name in the envelope' })
  @IsOptional()
  @IsString()
  @Length(1, 100)
  producer?: string;
}

export class EvidenceQuery {
  @ApiProperty({ description: 'Why it is read; kept with the name of the reader' })
  @IsOptional()
  @IsString()
  @Length(0, 500)
  purpose?: string;
}
