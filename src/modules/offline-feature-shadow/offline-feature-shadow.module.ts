import { Module } from '@nestjs/common';
import { BuildFactsController } from './build-facts.controller.js';
import { BuildFactsStore } from './build-facts.store.js';
import { BuildHolds } from './build-holds.js';
import { BuildPace } from './build-pace.js';
import { BuildJobs } from './build.job.js';
import { DatasetBuild } from './dataset-build.js';
import { DatasetObjects } from './dataset-reader.js';
import { OfflineFeatureShadowController } from './offline-feature-shadow.controller.js';
import { OfflineFeatureShadowService } from './offline-feature-shadow.service.js';
import { OfflineFeatureShadowStore } from './offline-feature-shadow.store.js';

@Module({
  controllers: [BuildFactsController, OfflineFeatureShadowController],
  providers: [
    BuildFactsStore,
    BuildHolds,
    BuildJobs,
    BuildPace,
    DatasetBuild,
    DatasetObjects,
    OfflineFeatureShadowService,
    OfflineFeatureShadowStore,
  ],
  exports: [OfflineFeatureShadowService],
})
export class OfflineFeatureShadowModule {}
