import { Module } from '@nestjs/common';
import { IngestionGateService } from './ingestion-gate.service.js';

@Module({ providers: [IngestionGateService], exports: [IngestionGateService] })
export class IngestionGateModule {}
