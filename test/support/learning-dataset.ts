import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { advance, basisRecord, emptyBasis } from '../../src/rails/basis.js';
import { canonicalJson } from '../../src/rails/canonical-json.js';
import { digestBytes, digestText } from '../../src/rails/digest.js';
import { asOffset } from '../../src/rails/eb-ref.js';
import type { FeatureDefinitions } from '../../src/rails/features/definition.schema.js';
import { SeededRandom } from '../../src/rails/learning/random.js';
import { sealPolicy } from '../../src/rails/policy-rev.js';
import { asUtcMicros, fromEpochMicros, toEpochMicros } from '../../src/rails/time.js';
import { validatorOf } from '../../src/rails/validator.js';
import {
  type BuildPlan,
  type Column,
  type DatasetManifest,
  DatasetManifestSchema,
} from '../../src/modules/offline-feature-shadow/dataset.schema.js';
import { columnsOf } from '../../src/modules/offline-feature-shadow/dataset-rows.js';
import { type Cell, parquetOf } from '../../src/modules/offline-feature-shadow/parquet-rows.js';
import type { FactoryPolicy } from '../../src/modules/model-factory/learning/gate-policy.schema.js';
import type { LearningDataset, LearningTask } from '../../src/modules/model-factory/learning/learning-task.js';
import { DEFAULT_RECIPE } from '../../src/modules/model-factory/learning/recipe.schema.js';
import { pins } from './decision-engine.js';

/** Two groups of features, one of them scaled; what they are counted of does not matter to a learner. */
export const DEFINITIONS = {
  lateness: '1d',
  groups: [
    {
      name: 'core_signal',
      version: 1,
      event_type: 'transaction',
      key: ['card_id'],
      features: [
        { name: 'signal', aggregate: 'count', window: '1h', trigger: 'included' },
        { name: 'trend', aggregate: 'ratio', scale: 4 },
      ],
    },
    {
      name: 'core_noise',
      version: 2,
      event_type: 'transaction',
      key: ['card_id'],
      features: [{ name: 'noise', aggregate: 'count', window: '1h', trigger: 'included' }],
    },
  ],
} as unknown as FeatureDefinitions;

const START = toEpochMicros(asUtcMicros('2018-04-01T00:00:00.000000Z'));
const MINUTE = 60e6;

export interface PlantedDataset {
  readonly rows: number;
  readonly seed: number;
  /** Labels are dealt anew among the rows: nothing is left to learn. */
  readonly shuffled?: boolean;
  /** Shares of the splits train, validation and test; none of them: a dataset without splits. */
  readonly splits?: readonly [train: number, validation: number, test: number];
  /** Minutes after the first of April 2018 at which rows begin; one row per minute. */
  readonly from?: number;
  readonly role?: 'train' | 'eval';
  /** Of the rows that are no fraud one in so many is kept, with the weight. */
  readonly othersOneIn?: number;
  /** The last word on a row, by the name of a column, before it is written. */
  readonly change?: (row: Record<string, Cell>, at: number) => void;
  /** The last word on the manifest. */
  readonly manifest?: (manifest: DatasetManifest) => object;
}

const manifests = validatorOf(DatasetManifestSchema, 'the manifest');

/** A dataset as the shadow publishes them: fraud is likelier where `signal` is high and `trend` is low; `noise` says nothing. */
export async function plantedDataset(planted: PlantedDataset): Promise<LearningDataset> {
  const { rows, splits, from = 0, role = 'train', othersOneIn = 1, manifest: last } = planted;
  const start = START + from * MINUTE;
  const at = (share: number) => fromEpochMicros(start + Math.round(share * rows) * MINUTE);
  const [trainShare = 0, validationShare = 0] = splits ?? [];
  const names = ['train', 'validation', 'test'] as const;
  const ends = [0, trainShare, trainShare + validationShare, 1];
  const plan: BuildPlan = {
    kind: 'dataset_build',
    source: 'bus',
    pins,
    facts_view_digest: digestText('view'),
    replay_start: {},
    replay_basis: basisRecord(
      advance(emptyBasis(['fp.bus.traffic.v1']), [
        { topic: 'fp.bus.traffic.v1', partition: 0, nextOffset: asOffset(rows) },
      ]),
    ),
    label: { label_type: 'fraud_disposition', as_of_utc: asUtcMicros('2019-01-01T00:00:00.000000Z') },
    definitions: sealPolicy('ofp.features', 1, {}).policy_rev,
    feature_groups: DEFINITIONS.groups.map(({ name }) => name),
    rows: { from_utc: at(0), to_utc: at(1) },
    anchor: 'event',
    sampling: othersOneIn === 1 ? null : { others_one_in: othersOneIn, seed: 'x' },
    splits:
      splits === undefined
        ? []
        : names.flatMap((name, place) => {
            const [begin, end] = [ends[place] ?? 0, ends[place + 1] ?? 1];
            return begin === end ? [] : [{ name, from_utc: at(begin), to_utc: at(end) }];
          }),
    code_release: { version: 'test', dataset_format: 1 },
  };
  const columns = columnsOf(plan, DEFINITIONS);
  const cells = plantedCells(planted, start, plan, columns);
  const file = join(mkdtempSync(join(tmpdir(), 'probity-learning-')), 'rows.parquet');
  const pieces: Buffer[] = [];
  // Small groups of rows, so that there are several.
  for await (const piece of parquetOf(columns, pagesOf(cells), 700)) pieces.push(piece);
  const bytes = Buffer.concat(pieces);
  writeFileSync(file, bytes);
  const content: DatasetManifest = {
    dataset_manifest_id: digestText(canonicalJson(plan)),
    dataset_fingerprint: digestText('fingerprint'),
    plan,
    join: { key: 'event_id', order: 'ts_utc, event_id' },
    built: {
      anchor: 'event',
      ranges: [],
      label: {
        ...{ label_type: 'fraud_disposition', as_of_utc: asUtcMicros('2019-01-01T00:00:00.000000Z') },
        rule_id: 'latest',
        policy_rev: sealPolicy('labels.store', 1, {}).policy_rev,
        ledger_seq: 1,
        slice_id: digestText('slice'),
        slice_rows: refOf('labels/slice.ndjson', Buffer.alloc(0)),
        by_state: {},
        by_value: {},
      },
      parity: {
        ...{ outcome: 'NO_DECISIONS', decisions: 0, match: 0, mismatch: 0, uncheckable: {}, not_served: {} },
        first_mismatches: [],
      },
      ...{ rows_seen: rows, rows_kept: cells.length, dropped: {}, by_split: {}, by_features_status: {} },
      materialisations: [{ ref: refOf('ofs/rows.parquet', bytes), rows: cells.length, columns: [...columns] }],
    },
  };
  const manifest = manifests.demand(last === undefined ? content : last(content));
  return { role, manifest, manifest_digest: digestText(canonicalJson(manifest)), file };
}

function refOf(locator: string, bytes: Buffer) {
  return {
    locator: locator as never,
    digest: { algo: 'sha256' as const, hex: digestBytes(bytes) },
    size: bytes.length,
    media_type: 'application/octet-stream',
  };
}

async function* pagesOf(cells: readonly (readonly Cell[])[]): AsyncGenerator<readonly (readonly Cell[])[]> {
  for (let from = 0; from < cells.length; from += 500) yield await Promise.resolve(cells.slice(from, from + 500));
}

function plantedCells(
  { rows, seed, shuffled = false, othersOneIn = 1, change }: PlantedDataset,
  start: number,
  plan: BuildPlan,
  columns: readonly Column[],
): readonly (readonly Cell[])[] {
  const random = new SeededRandom(seed);
  const drawn = Array.from({ length: rows }, () => {
    const signal = random.unit() < 0.1 ? null : random.below(1_000);
    const trend = random.below(10_000);
    const likely = (signal === null ? 0.12 : signal > 900 ? 0.5 : 0.02) * (1.5 - trend / 10_000);
    return { signal, trend, noise: random.below(50), isFraud: random.unit() < likely, card: random.below(200) };
  });
  const order = shuffled ? new SeededRandom(seed, 1).order(rows) : Int32Array.from(drawn.keys());
  return drawn.flatMap(({ signal, trend, noise, card }, at) => {
    const isFraud = drawn[order[at] ?? 0]?.isFraud ?? false;
    if (!isFraud && random.below(othersOneIn) > 0) return [];
    const micros = start + at * MINUTE;
    const split = plan.splits.find(
      ({ from_utc, to_utc }) => micros >= toEpochMicros(from_utc) && micros < toEpochMicros(to_utc),
    );
    const row: Record<string, Cell> = {
      ...{
        event_id: `event-${seed}-${at}`,
        ts_utc: micros,
        card_id: `card-${card}`,
        currency: at % 3 === 0 ? 'USD' : 'EUR',
      },
      ...{ amount_minor: 100 + random.below(50_000), f_signal: signal, f_trend: trend, f_noise: noise },
      ...{ features_status: 'REBUILT', label_state: 'LABEL', is_fraud: isFraud, weight: isFraud ? 1 : othersOneIn },
      ...{ label_value: isFraud ? 'FRAUD_CONFIRMED' : 'LEGIT_CONFIRMED', split: split?.name ?? null },
    };
    change?.(row, at);
    return [columns.map(({ name }) => row[name] ?? null)];
  });
}

/** The policy of a profile, with some of it changed. */
export function factoryPolicy(change: Partial<FactoryPolicy> = {}, profile = 'local'): LearningTask['policy'] {
  const file = join(process.cwd(), 'profiles', profile, 'policy', 'mf.factory.yaml');
  const { body } = parse(readFileSync(file, 'utf8')) as { body: FactoryPolicy };
  const whole = { ...body, ...change };
  return { policy_rev: sealPolicy('mf.factory', 1, whole as never).policy_rev, body: whole };
}

export function learningTask(datasets: readonly LearningDataset[], change: Partial<LearningTask> = {}): LearningTask {
  return {
    kind: 'train',
    recipe: { ...DEFAULT_RECIPE, learner: { kind: 'boosted_trees', rounds: 60 } },
    datasets,
    candidate: null,
    active: null,
    policy: factoryPolicy({ bootstrap: { resamples: 100, confidence: 0.95, seed: 1 } }),
    code_release: 'test',
    decided_at_utc: asUtcMicros('2026-01-01T00:00:00.000000Z'),
    ...change,
  };
}
