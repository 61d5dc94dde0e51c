import { ACTION_ERRORS } from './actions.errors.js';
import { AUDIT_ERRORS } from './audit.errors.js';
import { BUS_ERRORS } from './bus.errors.js';
import { CASE_ERRORS } from './cases.errors.js';
import { CONFIG_ERRORS } from './config.errors.js';
import { DATABASE_ERRORS } from './database.errors.js';
import { DATASET_ERRORS } from './datasets.errors.js';
import { DECISION_ERRORS } from './decision.errors.js';
import { EDGE_ERRORS } from './edge.errors.js';
import { ENGINE_ERRORS } from './engine.errors.js';
import { FACTORY_ERRORS } from './factory.errors.js';
import { FEATURE_ERRORS } from './features.errors.js';
import { GOVERNANCE_ERRORS } from './governance.errors.js';
import { GRAPH_ERRORS } from './graph.errors.js';
import { INGESTION_ERRORS } from './ingestion.errors.js';
import { RUN_ERRORS } from './runs.errors.js';
import { STREAM_ERRORS } from './stream.errors.js';
import type { ErrorFamily, ErrorSpec } from './error.js';
import { HTTP_ERRORS } from './http.errors.js';
import { IDENTITY_ERRORS } from './identity.errors.js';
import { LABEL_ERRORS } from './labels.errors.js';
import { LEARNING_ERRORS } from './learning.errors.js';
import { OBJECTS_ERRORS } from './objects.errors.js';
import { POSTURE_ERRORS } from './posture.errors.js';
import { OPS_ERRORS } from './ops.errors.js';
import { RAILS_ERRORS } from './rails.errors.js';
import { REPLAY_ERRORS } from './replay.errors.js';
import { REGISTRY_ERRORS } from './model-registry.errors.js';
import { RPC_ERRORS } from './rpc.errors.js';

/** The families with their headings in docs/errors.md, which is generated from here. */
export const ERROR_FAMILIES: readonly { readonly title: string; readonly errors: ErrorFamily }[] = [
  { title: 'Rails', errors: RAILS_ERRORS },
  { title: 'Configuration', errors: CONFIG_ERRORS },
  { title: 'Identity', errors: IDENTITY_ERRORS },
  { title: 'HTTP', errors: HTTP_ERRORS },
  { title: 'Calls between units', errors: RPC_ERRORS },
  { title: 'Event bus', errors: BUS_ERRORS },
  { title: 'Object store', errors: OBJECTS_ERRORS },
  { title: 'Database', errors: DATABASE_ERRORS },
  { title: 'Ingestion Gate', errors: INGESTION_ERRORS },
  { title: "Producers' edges", errors: EDGE_ERRORS },
  { title: 'Data Engine', errors: ENGINE_ERRORS },
  { title: 'Scenario Runner', errors: RUN_ERRORS },
  { title: 'World Stream Producer', errors: STREAM_ERRORS },
  { title: 'Feature Plane', errors: FEATURE_ERRORS },
  { title: 'Identity & Entity Graph', errors: GRAPH_ERRORS },
  { title: 'Label Store', errors: LABEL_ERRORS },
  { title: 'Case Workbench', errors: CASE_ERRORS },
  { title: 'Offline Feature Shadow', errors: DATASET_ERRORS },
  { title: 'Model Factory', errors: FACTORY_ERRORS },
  { title: 'Degrade Ladder', errors: POSTURE_ERRORS },
  { title: 'Decision Fabric', errors: DECISION_ERRORS },
  { title: 'Model/Policy Registry', errors: REGISTRY_ERRORS },
  { title: 'Actions Layer', errors: ACTION_ERRORS },
  { title: 'Decision Log/Audit', errors: AUDIT_ERRORS },
  { title: 'Run/Operate', errors: OPS_ERRORS },
  { title: 'Backfill and replay', errors: REPLAY_ERRORS },
  { title: 'Governance', errors: GOVERNANCE_ERRORS },
  { title: 'Learning', errors: LEARNING_ERRORS },
];

/** Every code of the platform. A family stands here and above; registry.spec.ts finds one that is missing in either. */
export const ERRORS = {
  ...ACTION_ERRORS,
  ...AUDIT_ERRORS,
  ...BUS_ERRORS,
  ...CASE_ERRORS,
  ...CONFIG_ERRORS,
  ...DATABASE_ERRORS,
  ...DATASET_ERRORS,
  ...HTTP_ERRORS,
  ...IDENTITY_ERRORS,
  ...LEARNING_ERRORS,
  ...OBJECTS_ERRORS,
  ...OPS_ERRORS,
  ...RAILS_ERRORS,
  ...REGISTRY_ERRORS,
  ...REPLAY_ERRORS,
  ...RPC_ERRORS,
  ...DECISION_ERRORS,
  ...EDGE_ERRORS,
  ...ENGINE_ERRORS,
  ...FACTORY_ERRORS,
  ...FEATURE_ERRORS,
  ...GOVERNANCE_ERRORS,
  ...GRAPH_ERRORS,
  ...INGESTION_ERRORS,
  ...LABEL_ERRORS,
  ...POSTURE_ERRORS,
  ...RUN_ERRORS,
  ...STREAM_ERRORS,
} as const satisfies Readonly<Record<string, ErrorSpec>>;

export type ErrorCode = keyof typeof ERRORS;

export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code);
}

export function errorSpec(code: ErrorCode): ErrorSpec {
  return ERRORS[code];
}
