import { Module } from '@nestjs/common';
import { Objects } from '../../substrate/objects/objects.port.js';
import { PolicyArchive } from '../../substrate/policy/policy.archive.js';
import { BundleSource, RegistryBundles } from './bundle-source.js';
import { DecisionFabricConsumer, DecisionPositions } from './decision-fabric.consumer.js';
import { DecisionFabricController } from './decision-fabric.controller.js';
import { EngineInForce } from './decision-fabric.engine.js';
import { DecisionFabricService } from './decision-fabric.service.js';
import { DecisionSignals } from './decision-fabric.signals.js';
import { DecisionFabricStore } from './decision-fabric.store.js';
import { DryRunController } from './dry-run.controller.js';
import { DryRunService } from './dry-run.service.js';
import { DryRunStore } from './dry-run.store.js';
import { DecisionTail } from './decision-tail.js';
import { ExternalModels } from './external-models.js';
import { ModelRuntime, OnnxRuntime } from '../../substrate/models/model-runtime.js';
import { QualityService } from './quality.service.js';
import { Submission } from './submission.js';
import { VerificationController } from './verification.controller.js';
import { VerificationService } from './verification.service.js';

@Module({
  controllers: [DecisionFabricController, VerificationController, DryRunController, DecisionFabricConsumer],
  providers: [
    { provide: BundleSource, useClass: RegistryBundles },
    DecisionFabricStore,
    DecisionFabricService,
    DecisionPositions,
    DecisionSignals,
    DecisionTail,
    DryRunService,
    DryRunStore,
    EngineInForce,
    ExternalModels,
    { provide: ModelRuntime, useClass: OnnxRuntime },
    { provide: PolicyArchive, useFactory: (objects: Objects) => new PolicyArchive(objects), inject: [Objects] },
    QualityService,
    Submission,
    VerificationService,
  ],
})
export class DecisionFabricModule {}
