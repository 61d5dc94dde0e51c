import { Module } from '@nestjs/common';
import { LabelFeed } from './label-feed.job.js';
import { LabelStoreConsumer } from './label-store.consumer.js';
import { LabelStoreController } from './label-store.controller.js';
import { LabelStoreStore } from './label-store.store.js';

@Module({
  controllers: [LabelStoreController, LabelStoreConsumer],
  providers: [LabelFeed, LabelStoreStore],
})
export class LabelStoreModule {}
