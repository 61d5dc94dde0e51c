import { Module } from '@nestjs/common';
import { BulkFindings } from './bulk-findings.js';
import { AdmittedRecords } from './admitted-records.js';
import { CaseActions } from './case-actions.job.js';
import { CaseLabels } from './case-labels.job.js';
import { CaseWorkbenchConsumer } from './case-workbench.consumer.js';
import { CaseWorkbenchController } from './case-workbench.controller.js';
import { CaseWorkbenchService } from './case-workbench.service.js';
import { DecisionSources } from './decision-sources.js';
import { CaseWorkbenchStore } from './case-workbench.store.js';

@Module({
  controllers: [CaseWorkbenchController, CaseWorkbenchConsumer],
  providers: [
    AdmittedRecords,
    BulkFindings,
    CaseActions,
    CaseLabels,
    CaseWorkbenchService,
    CaseWorkbenchStore,
    DecisionSources,
  ],
})
export class CaseWorkbenchModule {}
