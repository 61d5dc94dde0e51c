import { Module } from '@nestjs/common';
import { ModelRegistryController } from './model-registry.controller.js';
import { ModelRegistryService } from './model-registry.service.js';
import { ModelRegistryStore } from './model-registry.store.js';
import { Publication } from './publication.js';
import { RegistryTeller } from './registry-teller.job.js';
import { ShippedBundles } from './shipped-bundles.job.js';

@Module({
  controllers: [ModelRegistryController],
  providers: [ModelRegistryService, ModelRegistryStore, Publication, RegistryTeller, ShippedBundles],
  exports: [ModelRegistryService],
})
export class ModelRegistryModule {}
