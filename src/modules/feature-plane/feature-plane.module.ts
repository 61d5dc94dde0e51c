import { Module } from '@nestjs/common';
import { FeaturePlaneConsumer } from './feature-plane.consumer.js';
import { FeaturePlaneController } from './feature-plane.controller.js';
import { FeatureEngine } from './feature-plane.engine.js';
import { FeatureRebuilds } from './feature-plane.rebuilds.js';
import { FeaturePlaneService } from './feature-plane.service.js';
import { FeaturePlaneStore } from './feature-plane.store.js';

@Module({
  controllers: [FeaturePlaneController, FeaturePlaneConsumer],
  providers: [FeatureEngine, FeaturePlaneStore, FeaturePlaneService, FeatureRebuilds],
  exports: [FeaturePlaneService],
})
export class FeaturePlaneModule {}
