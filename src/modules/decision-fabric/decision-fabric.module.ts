import { Module } from '@nestjs/common';
import { BundleSource, RegistryBundles } from './bundle-source.js';
import { CitedPolicies } from './cited-policies.js';
import { DecisionFabricConsumer, DecisionPositions } from './decision-fabric.consumer.js';
import { DecisionFabricController } from './decision-fabric.controller.js';
import { EngineInForce } from './decision-fabric.engine.js';
import { DecisionFabricService } from './decision-fabric.service.js';
import { DecisionSignals } from './decision-fabric.signals.js';
import { DecisionFabricStore } from './decision-fabric.store.js';
import { DecisionTail } from './decision-tail.js';
import { ExternalModels } from './external-models.js';
import { ModelRuntime, OnnxRuntime } from './model-runtime.js';
import { QualityService } from './quality.service.js';
import { Submission } from './submission.js';
import { VerificationController } from './verification.controller.js';
import { VerificationService } from './verification.service.js';

@Module({
  controllers: [DecisionFabricController, VerificationController, DecisionFabricConsumer],
  providers: [
    { provide: BundleSource, useClass: RegistryBundles },
    CitedPolicies,
    DecisionFabricStore,
    DecisionFabricService,
    DecisionPositions,
    DecisionSignals,
    DecisionTail,
    EngineInForce,
    ExternalModels,
    { provide: ModelRuntime, useClass: OnnxRuntime },
    QualityService,
    Submission,
    VerificationService,
  ],
})
export class DecisionFabricModule {}
