import { Module } from '@nestjs/common';
import { DataEngineController } from './data-engine.controller.js';
import { EngineMetrics } from './data-engine.metrics.js';
import { DataEngineService } from './data-engine.service.js';
import { PreviewJobs } from './preview-jobs.js';
import { SealJobs } from './seal-jobs.js';
import { SourceStore } from './source-store.js';
import { WorldReader } from './world-reader.js';

@Module({
  controllers: [DataEngineController],
  providers: [DataEngineService, SealJobs, PreviewJobs, WorldReader, SourceStore, EngineMetrics],
  exports: [DataEngineService],
})
export class DataEngineModule {}
