import { Module } from '@nestjs/common';
import { ActionsLayerConsumer } from './actions-layer.consumer.js';
import { ActionsLayerController } from './actions-layer.controller.js';
import { ActionSignals } from './actions-layer.signals.js';
import { ActionsLayerStore } from './actions-layer.store.js';
import { OutcomePublisher } from './outcome.publisher.js';
import { ActionExecutor } from './outward/action-executor.js';
import { TargetCaller } from './outward/target.caller.js';
import { WorkStore } from './outward/work.store.js';

@Module({
  controllers: [ActionsLayerController, ActionsLayerConsumer],
  providers: [ActionsLayerStore, WorkStore, ActionSignals, OutcomePublisher, TargetCaller, ActionExecutor],
})
export class ActionsLayerModule {}
