import { Module } from '@nestjs/common';
import { ActionsLayerConsumer } from './actions-layer.consumer.js';
import { ActionsLayerController } from './actions-layer.controller.js';
import { ActionSignals } from './actions-layer.signals.js';
import { ActionsLayerStore } from './actions-layer.store.js';
import { OutcomePublisher } from './outcome.publisher.js';

@Module({
  controllers: [ActionsLayerController, ActionsLayerConsumer],
  providers: [ActionsLayerStore, ActionSignals, OutcomePublisher],
})
export class ActionsLayerModule {}
