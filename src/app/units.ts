import { ActionsLayerModule } from '../modules/actions-layer/actions-layer.module.js';
import { ACTIONS_POLICY } from '../modules/actions-layer/actions-layer.policy.js';
import { ActionsLayerStore } from '../modules/actions-layer/actions-layer.store.js';
import { CaseWorkbenchModule } from '../modules/case-workbench/case-workbench.module.js';
import { CASES_POLICY } from '../modules/case-workbench/case-workbench.policy.js';
import { CasePositions } from '../modules/case-workbench/case-positions.js';
import { DATA_ENGINE_CONTRACT, DataEnginePort } from '../modules/data-engine/data-engine.port.js';
import { DataEngineModule } from '../modules/data-engine/data-engine.module.js';
import { DataEngineService } from '../modules/data-engine/data-engine.service.js';
import { BATCH_RECORDS_MAX, DecisionPositions } from '../modules/decision-fabric/decision-fabric.consumer.js';
import { DecisionFabricModule } from '../modules/decision-fabric/decision-fabric.module.js';
import { DECISION_POLICY, RULES_POLICY } from '../modules/decision-fabric/decision-fabric.policy.js';
import { DecisionLogAuditModule } from '../modules/decision-log-audit/decision-log-audit.module.js';
import {
  DECISION_LOG_AUDIT_CONTRACT,
  DecisionLogAuditPort,
} from '../modules/decision-log-audit/decision-log-audit.port.js';
import { AUDIT_POLICY } from '../modules/decision-log-audit/decision-log-audit.policy.js';
import { DecisionLogAuditService } from '../modules/decision-log-audit/decision-log-audit.service.js';
import { DecisionLogAuditStore } from '../modules/decision-log-audit/decision-log-audit.store.js';
import { DegradeLadderModule } from '../modules/degrade-ladder/degrade-ladder.module.js';
import { LADDER_POLICY } from '../modules/degrade-ladder/degrade-ladder.policy.js';
import { DEGRADE_LADDER_CONTRACT, DegradeLadderPort } from '../modules/degrade-ladder/degrade-ladder.port.js';
import { DegradeLadderService } from '../modules/degrade-ladder/degrade-ladder.service.js';
import { GraphEngine } from '../modules/entity-graph/entity-graph.engine.js';
import { EntityGraphModule } from '../modules/entity-graph/entity-graph.module.js';
import { ENTITY_GRAPH_CONTRACT, EntityGraphPort, GRAPH_POLICY } from '../modules/entity-graph/entity-graph.port.js';
import { EntityGraphService } from '../modules/entity-graph/entity-graph.service.js';
import { FeatureEngine } from '../modules/feature-plane/feature-plane.engine.js';
import { FeaturePlaneModule } from '../modules/feature-plane/feature-plane.module.js';
import {
  FEATURE_PLANE_CONTRACT,
  FEATURES_POLICY,
  FeaturePlanePort,
} from '../modules/feature-plane/feature-plane.port.js';
import { FeaturePlaneService } from '../modules/feature-plane/feature-plane.service.js';
import { IngestionGateModule } from '../modules/ingestion-gate/ingestion-gate.module.js';
import { ADMISSION_POLICY } from '../modules/ingestion-gate/ingestion-gate.policy.js';
import { INGESTION_GATE_CONTRACT, IngestionGatePort } from '../modules/ingestion-gate/ingestion-gate.port.js';
import { IngestionGateService } from '../modules/ingestion-gate/ingestion-gate.service.js';
import { ReservationHolds } from '../modules/ingestion-gate/ledger/reservation-holds.js';
import { LabelStoreModule } from '../modules/label-store/label-store.module.js';
import { FEED_POLICY, STORE_POLICY } from '../modules/label-store/label-store.policy.js';
import { LABEL_STORE_CONTRACT, LabelStorePort } from '../modules/label-store/label-store.port.js';
import { LabelStoreService } from '../modules/label-store/label-store.service.js';
import { LabelStoreStore } from '../modules/label-store/label-store.store.js';
import { FACTORY_POLICY } from '../modules/model-factory/learning/gate-policy.schema.js';
import { ModelFactoryModule } from '../modules/model-factory/model-factory.module.js';
import { MODEL_FACTORY_CONTRACT, ModelFactoryPort } from '../modules/model-factory/model-factory.port.js';
import { ModelFactoryService } from '../modules/model-factory/model-factory.service.js';
import { ModelRegistryModule } from '../modules/model-registry/model-registry.module.js';
import { REGISTRY_POLICY } from '../modules/model-registry/model-registry.policy.js';
import { MODEL_REGISTRY_CONTRACT, ModelRegistryPort } from '../modules/model-registry/model-registry.port.js';
import { ModelRegistryService } from '../modules/model-registry/model-registry.service.js';
import {
  OFFLINE_FEATURE_SHADOW_CONTRACT,
  OfflineFeatureShadowPort,
} from '../modules/offline-feature-shadow/offline-feature-shadow.port.js';
import { BuildHolds } from '../modules/offline-feature-shadow/build-holds.js';
import { OfflineFeatureShadowModule } from '../modules/offline-feature-shadow/offline-feature-shadow.module.js';
import { OfflineFeatureShadowService } from '../modules/offline-feature-shadow/offline-feature-shadow.service.js';
import { ProducerEdgesGateway } from '../modules/producer-edges/producer-edges.gateway.js';
import { ProducerEdgesModule } from '../modules/producer-edges/producer-edges.module.js';
import { EDGES_POLICY } from '../modules/producer-edges/producer-edges.policy.js';
import { PRODUCER_EDGES_CONTRACT, ProducerEdgesPort } from '../modules/producer-edges/producer-edges.port.js';
import { ARCHIVE_CONTRACT, ArchivePort } from '../modules/run-operate/archive.port.js';
import { ARCHIVE_POLICY } from '../modules/run-operate/archive/archive.policy.js';
import { ArchiveService } from '../modules/run-operate/archive/archive.service.js';
import { BackfillHolds } from '../modules/run-operate/jobs/backfill-holds.js';
import { JOBS_POLICY } from '../modules/run-operate/jobs/jobs.policy.js';
import { GOVERNANCE_POLICY } from '../modules/run-operate/governance.policy.js';
import { RETENTION_POLICY } from '../modules/run-operate/retention/retention.policy.js';
import { RunOperateModule } from '../modules/run-operate/run-operate.module.js';
import { ScenarioRunnerModule } from '../modules/scenario-runner/scenario-runner.module.js';
import { RUN_GATES_POLICY } from '../modules/scenario-runner/scenario-runner.policy.js';
import { SCENARIO_RUNNER_CONTRACT, ScenarioRunnerPort } from '../modules/scenario-runner/scenario-runner.port.js';
import { ScenarioRunnerService } from '../modules/scenario-runner/scenario-runner.service.js';
import { WorldStreamProducerModule } from '../modules/world-stream-producer/world-stream-producer.module.js';
import { STREAM_POLICY } from '../modules/world-stream-producer/world-stream-producer.policy.js';
import {
  WORLD_STREAM_PRODUCER_CONTRACT,
  WorldStreamProducerPort,
} from '../modules/world-stream-producer/world-stream-producer.port.js';
import { WorldStreamProducerService } from '../modules/world-stream-producer/world-stream-producer.service.js';
import { WorldStreamProducerStore } from '../modules/world-stream-producer/world-stream-producer.store.js';
import { defineUnits, type UnitTable } from './unit-table.js';

const MIB = 1024 * 1024;

/**
 * THE TABLE. One row per unit that is built: what it is, owns, calls, consumes and produces. Composition, `probity
 * roles`, docs/units.md and the architecture tests read it, so a unit exists when its row does.
 */
export const UNITS: UnitTable = defineUnits(
  {
    'fp.bus.traffic.v1': { why: 'Admitted events; the Ingestion Gate alone appends', recordBytesMax: MIB },
    'fp.bus.control.v1': { why: 'Control facts: a run is ready, an event was fraud', recordBytesMax: MIB },
    'fp.bus.audit.v1': { why: 'Pointers to receipts; droppable notifications', recordBytesMax: MIB },
  },
  {
    ig: {
      unit: 'ingestion-gate',
      kind: 'service',
      why: 'The one door to the traffic topic: admits each event once, or says why not.',
      module: IngestionGateModule,
      port: { token: IngestionGatePort, service: IngestionGateService, contract: INGESTION_GATE_CONTRACT },
      calls: [],
      holds: ReservationHolds,
      produces: ['fp.bus.traffic.v1', 'fp.bus.audit.v1'],
      schema: 'ig',
      prefixes: ['ig/'],
      policies: [ADMISSION_POLICY],
      instances: 'many',
    },
    engine: {
      unit: 'data-engine',
      kind: 'job',
      why: 'Makes worlds: the same identity gives the same sealed bytes, from a file or from a seed.',
      module: DataEngineModule,
      port: { token: DataEnginePort, service: DataEngineService, contract: DATA_ENGINE_CONTRACT },
      calls: [],
      produces: [],
      prefixes: ['engine/'],
      policies: [],
      instances: 'many',
    },
    sr: {
      unit: 'scenario-runner',
      kind: 'job',
      why: 'Decides that a pinned world may be used, and proves it.',
      module: ScenarioRunnerModule,
      port: { token: ScenarioRunnerPort, service: ScenarioRunnerService, contract: SCENARIO_RUNNER_CONTRACT },
      calls: ['engine'],
      produces: ['fp.bus.control.v1'],
      schema: 'sr',
      prefixes: ['sr/'],
      policies: [RUN_GATES_POLICY],
      instances: 'many',
    },
    wsp: {
      unit: 'world-stream-producer',
      kind: 'job',
      why: 'Behaves like the outside world: pushes sealed traffic through the gate in domain-time order.',
      module: WorldStreamProducerModule,
      port: {
        token: WorldStreamProducerPort,
        service: WorldStreamProducerService,
        contract: WORLD_STREAM_PRODUCER_CONTRACT,
      },
      calls: ['ig'],
      consumes: {
        group: 'wsp',
        topics: ['fp.bus.control.v1'],
        positions: WorldStreamProducerStore,
        startWhenUnknown: 'low-water',
        batchRecordsMax: 100,
      },
      produces: [],
      schema: 'wsp',
      prefixes: [],
      policies: [STREAM_POLICY],
      instances: 'many',
    },
    labels: {
      unit: 'label-store',
      kind: 'control service',
      why: 'The one truth about what became known of events, by whom, and when.',
      module: LabelStoreModule,
      port: { token: LabelStorePort, service: LabelStoreService, contract: LABEL_STORE_CONTRACT },
      calls: ['ig'],
      consumes: {
        group: 'labels',
        topics: ['fp.bus.control.v1'],
        positions: LabelStoreStore,
        startWhenUnknown: 'low-water',
        batchRecordsMax: 500,
      },
      produces: ['fp.bus.control.v1'],
      schema: 'label_store',
      prefixes: ['labels/'],
      policies: [FEED_POLICY, STORE_POLICY],
      instances: 'many',
    },
    mpr: {
      unit: 'model-registry',
      kind: 'control service',
      why: 'The one authority on which bundle is active where, now and at any past moment.',
      module: ModelRegistryModule,
      port: { token: ModelRegistryPort, service: ModelRegistryService, contract: MODEL_REGISTRY_CONTRACT },
      calls: [],
      produces: ['fp.bus.control.v1'],
      schema: 'registry',
      prefixes: ['registry/'],
      policies: [REGISTRY_POLICY],
      instances: 'many',
    },
    cases: {
      unit: 'case-workbench',
      kind: 'human-facing',
      why: 'What people have to look at: cases with timelines that nobody edits, and findings that become labels.',
      module: CaseWorkbenchModule,
      calls: ['ig', 'labels', 'ieg', 'dla'],
      consumes: {
        group: 'cases',
        topics: ['fp.bus.traffic.v1'],
        positions: CasePositions,
        startWhenUnknown: 'low-water',
        batchRecordsMax: 1_000,
        gatherMs: 50,
      },
      produces: [],
      schema: 'case_mgmt',
      prefixes: [],
      policies: [CASES_POLICY],
      instances: 'many',
    },
    ofs: {
      unit: 'offline-feature-shadow',
      kind: 'job',
      why: 'Rebuilds what was known from the log, proves that it is what was served, and makes datasets of it.',
      module: OfflineFeatureShadowModule,
      port: {
        token: OfflineFeatureShadowPort,
        service: OfflineFeatureShadowService,
        contract: OFFLINE_FEATURE_SHADOW_CONTRACT,
      },
      calls: ['labels', 'ops'],
      holds: BuildHolds,
      produces: [],
      schema: 'ofs',
      prefixes: ['ofs/'],
      policies: [FEATURES_POLICY],
      instances: 'many',
    },
    mf: {
      unit: 'model-factory',
      kind: 'job',
      why: 'Makes bundles of datasets, judges them honestly, and puts before the registry what passes.',
      module: ModelFactoryModule,
      port: { token: ModelFactoryPort, service: ModelFactoryService, contract: MODEL_FACTORY_CONTRACT },
      calls: ['ofs', 'mpr'],
      produces: [],
      schema: 'mf',
      prefixes: ['mf/'],
      policies: [FACTORY_POLICY],
      instances: 'many',
    },
    ofp: {
      unit: 'feature-plane',
      kind: 'projector',
      why: 'Knows what was known before an event: exact windows over traffic and labels, at a basis.',
      module: FeaturePlaneModule,
      port: { token: FeaturePlanePort, service: FeaturePlaneService, contract: FEATURE_PLANE_CONTRACT },
      calls: [],
      consumes: {
        group: 'ofp',
        topics: ['fp.bus.traffic.v1', 'fp.bus.control.v1'],
        positions: FeatureEngine,
        startWhenUnknown: 'low-water',
        batchRecordsMax: 1_000,
      },
      produces: [],
      schema: 'ofp',
      prefixes: [],
      policies: [FEATURES_POLICY],
      instances: 'one',
    },
    ieg: {
      unit: 'entity-graph',
      kind: 'projector',
      why: 'Knows what hangs together: cards, devices, addresses and who shares them, at a version.',
      module: EntityGraphModule,
      port: { token: EntityGraphPort, service: EntityGraphService, contract: ENTITY_GRAPH_CONTRACT },
      calls: [],
      consumes: {
        group: 'ieg',
        topics: ['fp.bus.traffic.v1', 'fp.bus.control.v1'],
        positions: GraphEngine,
        startWhenUnknown: 'low-water',
        batchRecordsMax: 1_000,
      },
      produces: [],
      schema: 'ieg',
      prefixes: [],
      policies: [GRAPH_POLICY],
      instances: 'one',
    },
    dl: {
      unit: 'degrade-ladder',
      kind: 'service',
      why: 'Says how much decisions may lean on now, from what the units measure of themselves.',
      module: DegradeLadderModule,
      port: { token: DegradeLadderPort, service: DegradeLadderService, contract: DEGRADE_LADDER_CONTRACT },
      calls: [],
      produces: ['fp.bus.control.v1'],
      schema: 'dl',
      prefixes: [],
      policies: [LADDER_POLICY],
      instances: 'many',
    },
    ops: {
      unit: 'run-operate',
      kind: 'service',
      why: 'Keeps the record of what is in force, the archive of what was admitted, and the bus from growing for ever.',
      module: RunOperateModule,
      port: { token: ArchivePort, service: ArchiveService, contract: ARCHIVE_CONTRACT },
      calls: ['sr', 'wsp', 'ig', 'labels', 'dla', 'ofp', 'ieg'],
      asksReaders: true,
      holds: BackfillHolds,
      produces: ['fp.bus.control.v1'],
      trims: ['fp.bus.traffic.v1', 'fp.bus.control.v1', 'fp.bus.audit.v1'],
      schema: 'gov',
      prefixes: ['archive/', 'gov/'],
      policies: [GOVERNANCE_POLICY, ARCHIVE_POLICY, RETENTION_POLICY, JOBS_POLICY, DECISION_POLICY],
      instances: 'many',
    },
    df: {
      unit: 'decision-fabric',
      kind: 'service',
      why: 'Turns each admitted payment into one decision, explainable, and the same when it is made again.',
      module: DecisionFabricModule,
      calls: ['ig', 'ofp', 'ieg', 'dl', 'mpr', 'edge', 'labels'],
      consumes: {
        group: 'df',
        topics: ['fp.bus.traffic.v1'],
        positions: DecisionPositions,
        startWhenUnknown: 'low-water',
        batchRecordsMax: BATCH_RECORDS_MAX,
      },
      produces: [],
      schema: 'df',
      prefixes: [],
      policies: [DECISION_POLICY, RULES_POLICY, FEATURES_POLICY, GRAPH_POLICY],
      instances: 'many',
    },
    al: {
      unit: 'actions-layer',
      kind: 'service',
      why: 'The only executor: what a decision asks for is done once, or denied, and told.',
      module: ActionsLayerModule,
      calls: ['ig'],
      consumes: {
        group: 'al',
        topics: ['fp.bus.traffic.v1'],
        positions: ActionsLayerStore,
        startWhenUnknown: 'low-water',
        batchRecordsMax: 1_000,
        gatherMs: 20,
      },
      produces: [],
      schema: 'actions',
      prefixes: [],
      policies: [ACTIONS_POLICY],
      instances: 'many',
    },
    dla: {
      unit: 'decision-log-audit',
      kind: 'service',
      why: 'The flight recorder: every record of the traffic topic is a leaf of a signed log that nobody can edit.',
      module: DecisionLogAuditModule,
      port: {
        token: DecisionLogAuditPort,
        service: DecisionLogAuditService,
        contract: DECISION_LOG_AUDIT_CONTRACT,
      },
      calls: [],
      consumes: {
        group: 'dla',
        topics: ['fp.bus.traffic.v1'],
        positions: DecisionLogAuditStore,
        startWhenUnknown: 'low-water',
        batchRecordsMax: 2_000,
        gatherMs: 100,
      },
      produces: [],
      schema: 'audit_index',
      prefixes: ['dla/'],
      policies: [AUDIT_POLICY],
      instances: 'many',
    },
    edge: {
      unit: 'producer-edges',
      kind: 'service',
      why: 'Takes plain transactions, CloudEvents and topics of others, and submits them as named producers.',
      module: ProducerEdgesModule,
      port: { token: ProducerEdgesPort, service: ProducerEdgesGateway, contract: PRODUCER_EDGES_CONTRACT },
      calls: ['ig'],
      produces: [],
      schema: 'edge',
      prefixes: [],
      policies: [EDGES_POLICY],
      instances: 'many',
    },
  },
);
