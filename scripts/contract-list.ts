import {
  LabelRowSchema,
  OutputIndexSchema,
  TrafficRowSchema,
  WorldSealSchema,
} from '../src/modules/data-engine/data-engine.port.js';
import { PackSchema } from '../src/modules/data-engine/generate/pack.core.js';
import { MappingSchema } from '../src/modules/data-engine/import/mapping.schema.js';
import {
  ReceiptSchema,
  ReconciliationSchema,
  SubmitResultSchema,
} from '../src/modules/ingestion-gate/ingestion-gate.port.js';
import { CloudEventSchema } from '../src/modules/producer-edges/cloud-event.core.js';
import { EdgeResultSchema } from '../src/modules/producer-edges/edge.result.js';
import { PlainTransactionSchema } from '../src/modules/producer-edges/plain-transaction.schema.js';
import {
  RunFactsViewSchema,
  RunReadySchema,
  RunRequestSchema,
} from '../src/modules/scenario-runner/scenario-runner.port.js';
import { type Contract, RAILS_CONTRACTS } from '../src/rails/contracts.js';

/** What the units publish: documents that others send, keep or read back. */
export const UNIT_CONTRACTS: readonly Contract[] = [
  { name: 'cloud-event', version: 1, title: 'CloudEvent with a transaction', schema: CloudEventSchema },
  { name: 'edge-result', version: 1, title: 'Result of an edge', schema: EdgeResultSchema },
  { name: 'generate-pack', version: 1, title: 'Parameter pack of a generated world', schema: PackSchema },
  { name: 'import-mapping', version: 1, title: 'Mapping of an import', schema: MappingSchema },
  { name: 'label-row', version: 1, title: 'Row of labels', schema: LabelRowSchema },
  { name: 'output-index', version: 1, title: 'Index of a sealed output', schema: OutputIndexSchema },
  { name: 'plain-transaction', version: 1, title: 'Plain transaction', schema: PlainTransactionSchema },
  { name: 'receipt', version: 1, title: 'Receipt of the gate', schema: ReceiptSchema },
  { name: 'reconciliation', version: 1, title: 'Ledger against bus', schema: ReconciliationSchema },
  { name: 'run-facts-view', version: 1, title: 'Facts view of a run', schema: RunFactsViewSchema },
  { name: 'run-ready', version: 1, title: 'Ready record of a run', schema: RunReadySchema },
  { name: 'run-request', version: 1, title: 'Request of a run', schema: RunRequestSchema },
  { name: 'submit-result', version: 1, title: 'Result of a submission', schema: SubmitResultSchema },
  { name: 'traffic-row', version: 1, title: 'Row of traffic', schema: TrafficRowSchema },
  { name: 'world-seal', version: 1, title: 'Seal of a world', schema: WorldSealSchema },
];

export const ALL_CONTRACTS: readonly Contract[] = [...RAILS_CONTRACTS, ...UNIT_CONTRACTS];
