import { randomUUID } from 'node:crypto';
import { FactoryPace } from '../../src/modules/model-factory/factory-pace.js';
import { FactorySignals } from '../../src/modules/model-factory/factory.signals.js';
import { Learner } from '../../src/modules/model-factory/learner.js';
import { FACTORY_POLICY } from '../../src/modules/model-factory/learning/gate-policy.schema.js';
import type { LearningResult, LearningTask } from '../../src/modules/model-factory/learning/learning-task.js';
import { DEFAULT_RECIPE, type Recipe } from '../../src/modules/model-factory/learning/recipe.schema.js';
import { ModelFactoryService } from '../../src/modules/model-factory/model-factory.service.js';
import { ModelFactoryStore } from '../../src/modules/model-factory/model-factory.store.js';
import { RunInputs } from '../../src/modules/model-factory/run-inputs.js';
import { RunResults } from '../../src/modules/model-factory/run-results.js';
import { TrainJobs } from '../../src/modules/model-factory/train.job.js';
import { TrainRun } from '../../src/modules/model-factory/train-run.js';
import type { RunStatus, TrainRequest } from '../../src/modules/model-factory/train-run.schema.js';
import type { ModelRegistryPort } from '../../src/modules/model-registry/model-registry.port.js';
import { planIdOf } from '../../src/modules/offline-feature-shadow/build-plan.core.js';
import { datasetKey } from '../../src/modules/offline-feature-shadow/dataset-build.js';
import { DatasetObjects } from '../../src/modules/offline-feature-shadow/dataset-reader.js';
import type { BuildPlan, Built, Column } from '../../src/modules/offline-feature-shadow/dataset.schema.js';
import type {
  DatasetReading,
  OfflineFeatureShadowPort,
} from '../../src/modules/offline-feature-shadow/offline-feature-shadow.port.js';
import { type Cell, parquetOf } from '../../src/modules/offline-feature-shadow/parquet-rows.js';
import { basisRecord, emptyBasis } from '../../src/rails/basis.js';
import { type Digest, digestText } from '../../src/rails/digest.js';
import { ProbityError } from '../../src/rails/errors/probity-error.js';
import { type Bundle, bundleDigest } from '../../src/rails/model/bundle.schema.js';
import { sealPolicy } from '../../src/rails/policy-rev.js';
import type { Ref } from '../../src/rails/ref.js';
import { fromEpochMicros } from '../../src/rails/time.js';
import { About } from '../../src/substrate/about.js';
import type { Bus } from '../../src/substrate/bus/bus.port.js';
import type { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import type { Database } from '../../src/substrate/database/database.port.js';
import { schemaName } from '../../src/substrate/database/roles.js';
import type { Tampering } from '../../src/substrate/objects/contract/kit.js';
import type { Objects } from '../../src/substrate/objects/objects.port.js';
import { StaticPolicies } from '../../src/substrate/policy/policy.port.js';
import { openTestPostgres } from '../support/database.js';
import { filesHarness, s3Harness } from '../support/objects-harness.js';
import { recordedTelemetry } from '../support/telemetry.js';
import { ANALYST, pinsOf } from './label-store.kit.js';
import { bundleOf, receiptOf, type Registry, registryOf } from './model-registry.kit.js';

export interface FactoryGround {
  readonly objects: Objects;
  readonly tamper: (key: string, tampering: Tampering) => Promise<void>;
  readonly database: (schema: 'mf' | 'registry') => Database;
  readonly close: () => Promise<void>;
}

/** On what `npm ci` brings, or on Postgres and S3. */
export async function openFactoryGround(kind: 'embedded' | 'external'): Promise<FactoryGround> {
  const postgres = await openTestPostgres(kind);
  const place = await postgres.fresh({ schemas: ['mf', 'registry'] });
  const store = kind === 'embedded' ? await filesHarness() : await s3Harness();
  const objects = await store.open();
  return {
    objects,
    tamper: (key, tampering) => store.tamper(key as never, tampering),
    database: (schema) => place.forSchema(schemaName(schema)),
    close: async () => {
      await objects.close();
      await store.close();
      await place.drop();
      await postgres.close();
    },
  };
}

const START_MICROS = Date.UTC(2026, 0, 1) * 1_000;
const ROW_MICROS = 3_600e6;
/** Of a row: an hour after the one before it. */
const at = (row: number) => fromEpochMicros(START_MICROS + row * ROW_MICROS);

const COLUMNS: readonly Column[] = [
  { name: 'event_id', type: 'STRING', nullable: false },
  { name: 'ts_utc', type: 'TIMESTAMP_MICROS', nullable: false },
  { name: 'card_id', type: 'STRING', nullable: true },
  { name: 'currency', type: 'STRING', nullable: true },
  { name: 'amount_minor', type: 'INT64', nullable: true },
  {
    ...{ name: 'f_card_count_24h', type: 'INT64', nullable: true },
    ...{ group: 'core_card', group_version: 1, scale: 0 },
  },
  { name: 'features_status', type: 'STRING', nullable: false },
  { name: 'label_state', type: 'STRING', nullable: false },
  { name: 'is_fraud', type: 'BOOLEAN', nullable: true },
  { name: 'split', type: 'STRING', nullable: true },
  { name: 'weight', type: 'INT64', nullable: false },
];

/** Each row: amount, payments of its card in a day, and whether it was fraud. */
export type MadeRow = readonly [amount: number, count: number, isFraud: boolean];

/** A dataset as the shadow publishes it; the first two thirds are to be learnt from. @param name makes it another one */
export async function datasetOf(
  objects: Objects,
  name: string,
  rows: readonly MadeRow[] = [[100, 1, false]],
): Promise<Digest> {
  const cut = Math.floor((rows.length * 2) / 3);
  const plan: BuildPlan = {
    ...{ kind: 'dataset_build', source: 'bus', pins: pinsOf(1), facts_view_digest: digestText(name) },
    ...{ replay_start: {}, replay_basis: basisRecord(emptyBasis(['fp.bus.traffic.v1'])) },
    label: { label_type: 'fraud_disposition', as_of_utc: at(rows.length + 1), maturity_days: 0 },
    ...{ definitions: sealPolicy('ofp.features', 1, {}).policy_rev, feature_groups: ['core_card'], rows: {} },
    ...{ anchor: 'event', sampling: null },
    splits: [
      { name: 'train', from_utc: at(0), to_utc: at(cut) },
      { name: 'test', from_utc: at(cut), to_utc: at(rows.length) },
    ],
    code_release: { version: '1.0.0', dataset_format: 1 },
  };
  const planId = planIdOf(plan);
  const cells = rows.map(([amount, count, isFraud], row): Cell[] => [
    ...[`e-${row}`, START_MICROS + row * ROW_MICROS, `card-${row % 50}`, 'EUR', amount, count],
    ...['USED', isFraud ? 'LABEL' : 'MATURED', isFraud, row < cut ? 'train' : 'test', 1],
  ]);
  const { ref } = await objects.putIfAbsent(datasetKey(planId, 'rows.parquet'), parquetOf(COLUMNS, paged(cells)), {
    mediaType: 'application/vnd.apache.parquet',
  });
  const frauds = rows.filter(([, , isFraud]) => isFraud).length;
  const built: Built = {
    ...{ anchor: 'event', ranges: [], label: labelUse(plan, ref, { frauds, others: rows.length - frauds }) },
    parity: {
      ...{ outcome: 'NO_DECISIONS', decisions: 0, match: 0, mismatch: 0, uncheckable: {}, not_served: {} },
      first_mismatches: [],
    },
    ...{ rows_seen: rows.length, rows_kept: rows.length, dropped: {} },
    ...{ by_split: { train: cut, test: rows.length - cut }, by_features_status: { USED: rows.length } },
    materialisations: [{ ref, rows: rows.length, columns: [...COLUMNS] }],
  };
  await new DatasetObjects(objects).publish(planId, plan, built);
  return planId;
}

function labelUse(
  { label }: BuildPlan,
  ref: Ref,
  { frauds, others }: { readonly frauds: number; readonly others: number },
): Built['label'] {
  if (label === null) return null;
  return {
    ...{ ...label, rule_id: 'latest', policy_rev: sealPolicy('labels.store', 1, {}).policy_rev, ledger_seq: 1 },
    ...{ slice_id: digestText('slice'), slice_rows: ref, by_state: { LABEL: frauds, MATURED: others } },
    by_value: frauds === 0 ? {} : { FRAUD_CONFIRMED: frauds },
  };
}

async function* paged(rows: readonly (readonly Cell[])[]): AsyncGenerator<readonly (readonly Cell[])[]> {
  yield await Promise.resolve(rows);
}

/** In place of the thread: says what it is told to, and counts. What is judged is another suite's matter. */
export class ToldLearner extends Learner {
  trainings = 0;
  verdict: 'PASS' | 'FAIL' = 'PASS';
  /** Thrown in place of an answer, first one first. */
  readonly failures: Error[] = [];
  /** Held until it resolves, where there is one. */
  gate: Promise<void> = Promise.resolve();
  tasks: LearningTask[] = [];

  override async learn(task: LearningTask, { signal }: { readonly signal: AbortSignal }): Promise<LearningResult> {
    this.trainings += 1;
    this.tasks.push(task);
    await Promise.race([this.gate, new Promise((resolve) => signal.addEventListener('abort', resolve))]);
    signal.throwIfAborted();
    const failure = this.failures.shift();
    if (failure !== undefined) throw failure;
    return resultOf(task, this.verdict, this.trainings);
  }
}

/** @param nth a training that is done again is not the same to the byte: it took another time */
export function resultOf(
  { recipe, candidate, datasets, decided_at_utc, policy }: LearningTask,
  verdict: 'PASS' | 'FAIL',
  nth = 1,
): LearningResult {
  const { bundle_id, bundle_version } = recipe.bundle;
  const bundle = candidate ?? bundleOf(bundle_id, bundle_version);
  const manifests = datasets.map(({ manifest_digest }) => manifest_digest);
  return {
    ...{ bundle, bundle_digest: bundleDigest(bundle), html: '<!doctype html><p>figures</p>' },
    report: { of: bundle_id, told: verdict } as never,
    receipt: {
      ...receiptOf(bundle, verdict, { digest: { hex: digestText('none') } } as Ref),
      ...{ reason_codes: verdict === 'PASS' ? [] : ['MF_GATE_AVERAGE_PRECISION'], decided_at_utc },
      ...{ dataset_manifests: manifests, policy_rev: policy.policy_rev },
    },
    durations: { reading: nth, searching: 0, training: nth, retraining: 0, evaluating: 0, reporting: 0 },
  };
}

export interface FactoryOptions {
  readonly clock: ManualClock;
  readonly learner?: Learner;
  readonly version?: string;
  readonly objects?: Objects;
  readonly leaseMs?: number;
  /** In place of the registry that stands on the ground. */
  readonly registry?: ModelRegistryPort;
  readonly shadow?: OfflineFeatureShadowPort;
  readonly policy?: object;
}

/** A process that runs the unit, with the registry and what the shadow has published beside it. */
export function openFactory(ground: FactoryGround, options: FactoryOptions) {
  const { clock, learner = new ToldLearner(options.clock), version = '1.0.0', objects = ground.objects } = options;
  const { telemetry, metricsText } = recordedTelemetry();
  const registry = registryOn(ground, clock);
  const policies = new StaticPolicies(
    new Map([[FACTORY_POLICY.policy_id, sealPolicy(FACTORY_POLICY.policy_id, 1, (options.policy ?? POLICY) as never)]]),
  );
  const about = new About(version, 'test', 1);
  const pace = Object.assign(new FactoryPace(), { leaseMs: options.leaseMs ?? 15_000, triesMax: 6 });
  const store = new ModelFactoryStore(ground.database('mf'), clock);
  const mpr = options.registry ?? portOf(registry);
  const inputs = new RunInputs(options.shadow ?? shadowOf(objects), mpr, objects, clock);
  const results = new RunResults(objects);
  const signals = new FactorySignals(telemetry);
  const run = new TrainRun(store, inputs, results, learner, mpr, signals, about, clock);
  const jobs = new TrainJobs(store, run, pace, clock, signals, telemetry, about);
  const service = new ModelFactoryService(store, inputs, results, jobs, policies, about);
  const advance = (id: Digest) => jobs.advance(id, new AbortController().signal);
  const ask = async (dataset: Digest, change: Partial<TrainRequest> = {}, candidate: Bundle | null = null) =>
    await service.accept({ ...requestOf(dataset), ...change }, candidate, ANALYST);
  return {
    ...{ store, inputs, results, run, jobs, service, registry, pace, metricsText, advance, ask },
    /** To its end. */
    settled: async (...asked: Parameters<typeof ask>): Promise<RunStatus> => {
      const { run: accepted } = await ask(...asked);
      await advance(accepted.train_run_id);
      return await service.status(accepted.train_run_id);
    },
  };
}

/** Bounds that a few made-up rows can keep. */
export const POLICY = {
  evidence: { train_rows_min: 2, train_frauds_min: 1, eval_rows_min: 2, eval_frauds_min: 1 },
  leakage: { gap_hours_min: 0, labels_known_before_eval: false },
  thresholds: { average_precision_min: 0.02, lift_min: 2, roc_auc_min: 0.7 },
  against_active: { difference_min: -0.02, rule: 'value', without_active: 'pass' },
  bootstrap: { resamples: 50, confidence: 0.95, seed: 1 },
  stability: { score_psi_max: 0.5 },
  determinism: { retrain: true },
  explainability: 'when_exposed',
  slices: { by: ['currency'], amount_bands_minor: [1000], frauds_min: 20 },
  costs: { alert_minor: 500, missed_fraud_minor: 10_000 },
  alert_shares_ppm: [10_000],
  card_precision_k: [10],
  search: { trials_max: 5, seconds_max: 60 },
  limits: { rows_max: 100_000, bytes_max: 100_000_000, seconds_max: 60, memory_mb: 512 },
} as const;

export function requestOf(dataset: Digest): TrainRequest {
  return {
    ...{ request_id: randomUUID(), kind: 'baseline_train' },
    datasets: [{ role: 'train', dataset_manifest_id: dataset }],
  };
}

/** A recipe that no other test has. */
export function recipeNamed(bundle_id: string, bundle_version = 1): Recipe {
  return { ...DEFAULT_RECIPE, bundle: { bundle_id, bundle_version } };
}

/**
 * What the shadow hands out, read and verified by its own code; of its builds none is under way.
 * @param change what becomes of a reading on its way
 */
export function shadowOf(
  objects: Objects,
  change: (reading: DatasetReading) => Promise<DatasetReading> = (reading) => Promise.resolve(reading),
): OfflineFeatureShadowPort {
  const datasets = new DatasetObjects(objects);
  return {
    request: () => Promise.reject(new ProbityError('OFS_INTENT_INVALID', 'nobody asks for datasets here')),
    build: async ({ dataset_manifest_id }: { readonly dataset_manifest_id: string }) => {
      const ref = await objects.head(datasetKey(dataset_manifest_id, 'manifest.json'));
      if (ref === null) throw new ProbityError('OFS_DATASET_NOT_FOUND', 'nobody asked for a dataset of this id');
      return { state: 'DONE', detail: { manifest: ref } } as never;
    },
    dataset: async ({ dataset_manifest_id }: { readonly dataset_manifest_id: string }) =>
      await change(await datasets.verified(dataset_manifest_id as Digest)),
  };
}

export function registryOn(ground: FactoryGround, clock: ManualClock): Registry {
  const { objects } = ground;
  // Facts go to the control topic by a job that does not run here.
  const bus = undefined as unknown as Bus;
  return registryOf({ database: ground.database('registry'), bus, objects }, clock, {
    four_eyes: true,
    slots: [{ name: 'primary' as never, needs: 'APPROVED' }],
    shipped: [],
  });
}

/** Publishes as the unit, whoever asks. */
export function portOf({ service }: Registry): ModelRegistryPort {
  const actor = { actor_id: 'SYSTEM::mf' as never, source_type: 'SYSTEM', auth_mode: 'API_KEY' } as const;
  return {
    resolve: (request: never) => service.resolve(request),
    publish: (request: never, context: object) =>
      service.publish(request, { ...context, caller: { actor, keyId: 'mf', roles: [] } } as never),
  };
}
