import { Module } from '@nestjs/common';
import { EntityGraphConsumer } from './entity-graph.consumer.js';
import { EntityGraphController } from './entity-graph.controller.js';
import { GraphEngine } from './entity-graph.engine.js';
import { GraphRebuilds } from './entity-graph.rebuilds.js';
import { EntityGraphService } from './entity-graph.service.js';
import { EntityGraphStore } from './entity-graph.store.js';

@Module({
  controllers: [EntityGraphController, EntityGraphConsumer],
  providers: [EntityGraphService, EntityGraphStore, GraphEngine, GraphRebuilds],
  exports: [EntityGraphService],
})
export class EntityGraphModule {}
