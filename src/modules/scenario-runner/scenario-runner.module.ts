import { Module } from '@nestjs/common';
import { ReadyPublisher } from './ready.publisher.js';
import { RunObjects } from './run-objects.js';
import { DEFAULT_PACE, RUN_PACE } from './run-pace.js';
import { RunSteps } from './run-steps.js';
import { ScenarioRunnerController } from './scenario-runner.controller.js';
import { ScenarioRunnerJob } from './scenario-runner.job.js';
import { RunMetrics } from './scenario-runner.metrics.js';
import { ScenarioRunnerService } from './scenario-runner.service.js';
import { ScenarioRunnerStore } from './scenario-runner.store.js';

@Module({
  controllers: [ScenarioRunnerController],
  providers: [
    { provide: RUN_PACE, useValue: DEFAULT_PACE },
    ReadyPublisher,
    RunMetrics,
    RunObjects,
    RunSteps,
    ScenarioRunnerJob,
    ScenarioRunnerService,
    ScenarioRunnerStore,
  ],
  exports: [ScenarioRunnerService],
})
export class ScenarioRunnerModule {}
