import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseDocument } from 'yaml';
import { type Bundle, bundleDigest, type LinearModel } from '../src/rails/model/bundle.schema.js';
import { scoreOf } from '../src/rails/model/score.js';
import { evaluate } from './training/evaluate.js';
import { fit } from './training/logistic.js';
import { type Example, type Examples, examplesOf, shippedDefinitions } from './training/worlds.js';

/**
 * Makes the bundle that the profiles ship: `npm run train:default` trains it and writes it into `mpr.registry` of every profile (seal them
 * afterwards), `-- --check` trains it again and fails when what is shipped is another one, `-- --seed N` begins elsewhere. The world of the first start
 * (seed 1) is among none of them.
 */
const PACK = 'small';
const TRAIN = ['101', '102', '103', '104', '105', '106'];
const VALIDATE = ['201', '202'];
const PENALTY = 2;
const PROFILES = ['local', 'dev', 'prod'];

interface InputChoice {
  readonly name: string;
  readonly reason: string;
  readonly cap?: number;
}

const INPUTS: readonly InputChoice[] = [
  { name: 'event.amount_minor', reason: 'AMOUNT_HIGH', cap: 150_000 },
  { name: 'features.card_amount_ratio_30d', reason: 'AMOUNT_UNUSUAL', cap: 150_000 },
  { name: 'features.card_count_10m', reason: 'CARD_VELOCITY_10M', cap: 8 },
  { name: 'features.card_count_1h', reason: 'CARD_VELOCITY_1H', cap: 12 },
  { name: 'features.card_count_24h', reason: 'CARD_VELOCITY_24H', cap: 20 },
  { name: 'features.card_merchants_24h', reason: 'CARD_AT_MANY_MERCHANTS', cap: 10 },
  { name: 'features.card_countries_24h', reason: 'CARD_IN_MANY_COUNTRIES', cap: 4 },
  { name: 'features.card_new_merchant_30d', reason: 'MERCHANT_NEW_TO_CARD' },
  { name: 'features.card_new_country_30d', reason: 'COUNTRY_NEW_TO_CARD' },
  { name: 'features.card_new_device_30d', reason: 'DEVICE_NEW_TO_CARD' },
  { name: 'features.card_speed_from_last', reason: 'IMPOSSIBLE_TRAVEL', cap: 1_000_000 },
  { name: 'features.account_count_24h', reason: 'ACCOUNT_VELOCITY_24H', cap: 20 },
  { name: 'features.account_new_device_30d', reason: 'DEVICE_NEW_TO_ACCOUNT' },
  { name: 'features.account_new_beneficiary_30d', reason: 'BENEFICIARY_NEW_TO_ACCOUNT' },
  { name: 'features.device_count_24h', reason: 'DEVICE_VELOCITY_24H', cap: 20 },
  { name: 'features.device_cards_24h', reason: 'DEVICE_USES_MANY_CARDS', cap: 6 },
  { name: 'features.device_customers_7d', reason: 'DEVICE_USED_BY_MANY', cap: 6 },
  { name: 'features.device_fraud_count_30d', reason: 'DEVICE_WITH_FRAUD', cap: 3 },
  { name: 'features.ip_cards_1h', reason: 'ADDRESS_USES_MANY_CARDS', cap: 6 },
  { name: 'features.merchant_fraud_share_30d', reason: 'MERCHANT_WITH_FRAUD', cap: 5_000 },
  { name: 'features.terminal_fraud_share_7d', reason: 'TERMINAL_WITH_FRAUD', cap: 10_000 },
  { name: 'features.terminal_fraud_count_30d', reason: 'TERMINAL_WITH_FRAUD_LATELY', cap: 10 },
  { name: 'features.night', reason: 'AT_NIGHT' },
];

/** Six digits: more would say nothing of so few frauds, and fewer are easier to read. */
const rounded = (value: number): number => Number(value.toPrecision(6));

function trained({ rows, digest }: Examples, seeds: readonly string[]): Bundle {
  const columns = INPUTS.map(({ name, cap }) => standardised(rows, name, cap));
  // An input that may be missing has a second column that says so.
  const design = rows.map((_, at) =>
    Float64Array.from(columns.flatMap(({ values, missing }) => [values[at] ?? 0, missing[at] ?? 0])),
  );
  const isFraud = rows.map((row) => row.isFraud);
  const { intercept, weights } = fit(design, isFraud, PENALTY);
  const inputs: LinearModel['inputs'] = INPUTS.map(({ name, reason, cap }, at) => {
    const [source, member = ''] = name.split('.');
    const { mean, deviation } = columns[at] ?? { mean: 0, deviation: 1 };
    return {
      source: source as 'features' | 'event',
      name: member,
      reason_code: reason,
      ...(cap === undefined ? {} : { cap }),
      mean,
      deviation,
      weight: rounded(weights[at * 2] ?? 0),
      weight_missing: rounded(weights[at * 2 + 1] ?? 0),
    };
  });
  const definitions = shippedDefinitions();
  const groups = definitions.groups.filter(({ features }) =>
    features.some(({ name }) => INPUTS.some((input) => input.name === `features.${name}`)),
  );
  return {
    bundle_id: 'default-linear',
    bundle_version: 1,
    compatibility: {
      feature_groups: groups.map(({ name, version }) => ({ name, version })),
      input_contract: 'transaction.v1',
    },
    lineage: {
      trained_on: `generated worlds of the pack ${PACK}, seeds ${seeds.join(', ')}; ${rows.length} payments, ${isFraud.filter(Boolean).length} of them fraud`,
      recipe: 'scripts/train-default.ts',
      dataset_digest: digest as Bundle['lineage']['dataset_digest'],
    },
    model: { format: 'probity.linear.v1', inputs, intercept: rounded(intercept) },
  };
}

interface Column {
  readonly mean: number;
  readonly deviation: number;
  readonly values: Float64Array;
  readonly missing: Float64Array;
}

function standardised(rows: readonly Example[], name: string, cap = Number.POSITIVE_INFINITY): Column {
  const raw = rows.map(({ values }) => values.get(name));
  const known = raw.flatMap((value) => (value === undefined ? [] : [Math.min(value, cap)]));
  const mean = rounded(known.reduce((sum, value) => sum + value, 0) / Math.max(1, known.length));
  const variance = known.reduce((sum, value) => sum + (value - mean) ** 2, 0) / Math.max(1, known.length);
  const deviation = rounded(Math.sqrt(variance)) || 1;
  return {
    mean,
    deviation,
    values: Float64Array.from(raw, (value) => (value === undefined ? 0 : (Math.min(value, cap) - mean) / deviation)),
    missing: Float64Array.from(raw, (value) => (value === undefined ? 1 : 0)),
  };
}

function scoresOf(bundle: Bundle, rows: readonly Example[]): readonly number[] {
  const { model } = bundle;
  if (model.format === 'probity.onnx.v1') throw new TypeError('the default bundle is of a format of our own');
  const names = model.inputs.map(({ source, name }: { source: string; name: string }) => `${source}.${name}`);
  return rows.map(
    ({ values }) =>
      scoreOf(
        { model },
        names.map((name) => values.get(name) ?? null),
      ).scoreE6,
  );
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function report(title: string, bundle: Bundle, rows: readonly Example[]): void {
  const scores = scoresOf(bundle, rows);
  const isFraud = rows.map((row) => row.isFraud);
  const { averagePrecision, rocAuc, recallAt } = evaluate(scores, isFraud);
  const recalls = Object.entries(recallAt).map(
    ([share, recall]) => `${(100 * Number(share)).toFixed(1)} %: ${(100 * recall).toFixed(1)} %`,
  );
  say(
    `${title}: average precision ${averagePrecision.toFixed(4)}, ROC AUC ${rocAuc.toFixed(4)}; frauds among the highest ${recalls.join(', ')}`,
  );
  for (const threshold of [100_000, 200_000, 300_000, 500_000, 800_000]) {
    const above = scores.map((score) => score >= threshold);
    const caught = above.filter((is, at) => is && isFraud[at] === true).length;
    const alarms = above.filter((is, at) => is && isFraud[at] !== true).length;
    say(`  score ≥ ${threshold / 1e6}: ${caught} of ${isFraud.filter(Boolean).length} frauds, ${alarms} others`);
  }
}

function main(words: readonly string[]): number {
  const first = words.indexOf('--seed');
  const seeds = first < 0 ? TRAIN : TRAIN.map((_, at) => String(Number(words[first + 1]) + at));
  const definitions = shippedDefinitions();
  const train = examplesOf(seeds, PACK, definitions);
  const bundle = trained(train, seeds);
  const digest = bundleDigest(bundle);
  if (words.includes('--check')) {
    const other = PROFILES.filter((profile) => shippedDigest(profile) !== digest);
    for (const profile of other) say(`${fileOf(profile)}: another bundle than the one that training makes (${digest})`);
    return other.length === 0 ? 0 : 1;
  }
  say(`Trained on ${bundle.lineage.trained_on}: ${digest}`);
  report('As trained', bundle, train.rows);
  report(`Validation, seeds ${VALIDATE.join(', ')}`, bundle, examplesOf(VALIDATE, PACK, definitions).rows);
  for (const profile of PROFILES) {
    const document = parseDocument(readFileSync(fileOf(profile), 'utf8'));
    document.setIn(['body', 'shipped'], document.createNode([{ slot: 'primary', digest, bundle }]));
    writeFileSync(fileOf(profile), document.toString({ lineWidth: 120 }));
  }
  say('Written into mpr.registry of every profile; seal them: probity policy seal <file>');
  return 0;
}

function fileOf(profile: string): string {
  return join('profiles', profile, 'policy', 'mpr.registry.yaml');
}

function shippedDigest(profile: string): unknown {
  return parseDocument(readFileSync(fileOf(profile), 'utf8')).getIn(['body', 'shipped', 0, 'digest']);
}

process.exitCode = main(process.argv.slice(2));
