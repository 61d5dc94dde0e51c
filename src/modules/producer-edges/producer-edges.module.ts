import { Module } from '@nestjs/common';
import { EdgesStatus } from './edges-status.js';
import { ProducerEdgesController } from './producer-edges.controller.js';
import { ProducerEdgesGateway } from './producer-edges.gateway.js';
import { ProducerEdgesService } from './producer-edges.service.js';
import { EdgeSources } from './producer-edges.sources.js';
import { ProducerEdgesStore } from './producer-edges.store.js';
import { RunBindings } from './run-bindings.js';

@Module({
  controllers: [ProducerEdgesController],
  providers: [ProducerEdgesService, ProducerEdgesGateway, ProducerEdgesStore, RunBindings, EdgesStatus, EdgeSources],
  exports: [ProducerEdgesGateway],
})
export class ProducerEdgesModule {}
