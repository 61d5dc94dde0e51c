import { Module } from '@nestjs/common';
import { ArchiveController } from './archive/archive.controller.js';
import { ArchiveService } from './archive/archive.service.js';
import { ArchiveSignals } from './archive/archive.signals.js';
import { ArchiveStore } from './archive/archive.store.js';
import { ArchiveVerificationService } from './archive/archive-verification.service.js';
import { ArchiveWriter } from './archive/archive.writer.js';
import { type JobKind, JobKinds } from './jobs/job-kind.js';
import { JobRunner } from './jobs/job.runner.js';
import { JobSchedule } from './jobs/job.schedule.js';
import { JobStore } from './jobs/job.store.js';
import { JobsController } from './jobs/jobs.controller.js';
import { JobsService } from './jobs/jobs.service.js';
import { BackfillHolds } from './jobs/backfill-holds.js';
import { BackfillPlans } from './jobs/backfill-plans.js';
import { ArchiveVerifyJob } from './jobs/kinds/archive-verify.job.js';
import { BackfillJob } from './jobs/kinds/backfill.job.js';
import { DrainJob } from './jobs/kinds/drain.job.js';
import { ReconcileRunJob } from './jobs/kinds/reconcile-run.job.js';
import { RetentionApplyJob } from './jobs/kinds/retention-apply.job.js';
import { RunReporter } from './reports/run-reporter.js';
import { LaneGuard } from './lane-guard.js';
import { Leases } from './leases.js';
import { OperationFacts } from './operation-facts.js';
import { GovernanceFacts } from './governance-facts.js';
import { PolicyLanesController } from './policy-lanes.controller.js';
import { PolicyLanes } from './policy-lanes.service.js';
import { PolicyLanesStore } from './policy-lanes.store.js';
import { RetentionGuard } from './retention/retention.guard.js';
import { RetentionPlanner } from './retention/retention.planner.js';
import { RetentionSignals } from './retention/retention.signals.js';
import { RunOperateController } from './run-operate.controller.js';
import { RunOperateService } from './run-operate.service.js';
import { RunOperateStore } from './run-operate.store.js';

@Module({
  controllers: [RunOperateController, ArchiveController, JobsController, PolicyLanesController],
  providers: [
    GovernanceFacts,
    PolicyLanes,
    PolicyLanesStore,
    RunOperateService,
    RunOperateStore,
    Leases,
    OperationFacts,
    ArchiveService,
    ArchiveSignals,
    ArchiveStore,
    ArchiveVerificationService,
    ArchiveWriter,
    ArchiveVerifyJob,
    BackfillHolds,
    BackfillJob,
    BackfillPlans,
    DrainJob,
    ReconcileRunJob,
    RetentionApplyJob,
    RetentionPlanner,
    RetentionSignals,
    { provide: LaneGuard, useClass: RetentionGuard },
    RunReporter,
    {
      provide: JobKinds,
      inject: [ArchiveVerifyJob, BackfillJob, DrainJob, ReconcileRunJob, RetentionApplyJob],
      useFactory: (...kinds: readonly JobKind[]) => new JobKinds(kinds),
    },
    JobStore,
    JobRunner,
    JobsService,
    JobSchedule,
  ],
  exports: [ArchiveService],
})
export class RunOperateModule {}
