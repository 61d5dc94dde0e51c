import { Module } from '@nestjs/common';
import { FactoryPace } from './factory-pace.js';
import { FactorySignals } from './factory.signals.js';
import { Learner } from './learner.js';
import { ModelFactoryController } from './model-factory.controller.js';
import { ModelFactoryService } from './model-factory.service.js';
import { ModelFactoryStore } from './model-factory.store.js';
import { RunInputs } from './run-inputs.js';
import { RunResults } from './run-results.js';
import { TrainFactsController } from './train-facts.controller.js';
import { TrainFactsStore } from './train-facts.store.js';
import { TrainRun } from './train-run.js';
import { TrainJobs } from './train.job.js';

@Module({
  controllers: [TrainFactsController, ModelFactoryController],
  providers: [
    FactoryPace,
    FactorySignals,
    Learner,
    ModelFactoryService,
    ModelFactoryStore,
    RunInputs,
    RunResults,
    TrainFactsStore,
    TrainJobs,
    TrainRun,
  ],
  exports: [ModelFactoryService],
})
export class ModelFactoryModule {}
