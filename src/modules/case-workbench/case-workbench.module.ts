import { Module } from '@nestjs/common';
import { BulkFindings } from './bulk-findings.js';
import { AdmittedRecords } from './admitted-records.js';
import { CaseActions } from './case-actions.job.js';
import { CaseDisclosuresController } from './case-disclosures.controller.js';
import { CaseEvidence } from './case-evidence.js';
import { CaseExport } from './case-export.js';
import { CaseLabels } from './case-labels.job.js';
import { CaseMarks } from './case-marks.job.js';
import { CaseMarksStore } from './case-marks.store.js';
import { CaseNeighbours } from './case-neighbours.js';
import { CasePositions } from './case-positions.js';
import { CaseQuarantines } from './case-quarantines.job.js';
import { CaseQuarantinesStore } from './case-quarantines.store.js';
import { CaseWorkbenchConsumer } from './case-workbench.consumer.js';
import { CaseWorkbenchController } from './case-workbench.controller.js';
import { CaseWorkbenchService } from './case-workbench.service.js';
import { DecisionSources } from './decision-sources.js';
import { CaseWorkbenchStore } from './case-workbench.store.js';

@Module({
  controllers: [CaseDisclosuresController, CaseWorkbenchController, CaseWorkbenchConsumer],
  providers: [
    AdmittedRecords,
    BulkFindings,
    CaseActions,
    CaseEvidence,
    CaseExport,
    CaseLabels,
    CaseMarks,
    CaseMarksStore,
    CaseNeighbours,
    CasePositions,
    CaseQuarantines,
    CaseQuarantinesStore,
    CaseWorkbenchService,
    CaseWorkbenchStore,
    DecisionSources,
  ],
})
export class CaseWorkbenchModule {}
