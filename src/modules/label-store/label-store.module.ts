import { Module } from '@nestjs/common';
import { ExternalFeedController } from './external-feed.controller.js';
import { LabelCounts } from './label-counts.js';
import { LabelFeed } from './label-feed.job.js';
import { LabelSlices } from './label-slices.js';
import { LabelStoreConsumer } from './label-store.consumer.js';
import { LabelStoreController } from './label-store.controller.js';
import { LabelStoreService } from './label-store.service.js';
import { LabelStoreStore } from './label-store.store.js';
import { LabelTargets } from './label-targets.js';
import { LabelTeller } from './label-teller.job.js';
import { LedgerStore } from './ledger.store.js';
import { SubmissionsStore } from './submissions.store.js';

@Module({
  controllers: [LabelStoreController, ExternalFeedController, LabelStoreConsumer],
  providers: [
    LabelCounts,
    SubmissionsStore,
    LabelFeed,
    LabelSlices,
    LabelStoreService,
    LabelStoreStore,
    LabelTargets,
    LabelTeller,
    LedgerStore,
  ],
  exports: [LabelStoreService],
})
export class LabelStoreModule {}
