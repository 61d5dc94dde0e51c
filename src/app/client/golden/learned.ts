import { fromEpochMs, fromEpochMicros, parseUtc, toEpochMicros, type UtcMicros } from '../../../rails/time.js';
import { CaseApi, type ShownCase } from '../case-api.js';
import { ProbityError } from '../../../rails/errors/probity-error.js';
import { named } from '../decided.js';
import { ModelApi } from '../model-api.js';
import { DatasetApi, type DatasetReading } from '../dataset-api.js';
import { polled } from '../journey.js';
import { LabelApi } from '../label-api.js';
import type { BundleName } from '../registry-api.js';
import { thousands } from '../progress.core.js';
import { type DecidedWorld, short } from './decided-world.js';
import { passed, type Way } from './hop.js';

const LABEL_TYPE = 'fraud_disposition';
/** Where a person and a feed say different things of one payment, the person has looked at it. */
const RULE = 'human_first';
/** So long without a label, and a payment counts as legitimate: longer than the frauds of a generated world take to be told. */
const MATURITY_DAYS = 30;
/** Of the time of the world: what is trained on, and what early stopping looks at; what follows is the test. */
const TRAIN_SHARE = 0.65;
const VALIDATION_SHARE = 0.1;

/** Somebody looks at a case that a decision opened, finds what it was, and the finding becomes a label. @throws HopFailed */
export async function investigated(way: Way, { run }: DecidedWorld): Promise<void> {
  const api = new CaseApi(way.api);
  const { cases } = await polled(
    way,
    () => api.list({ run: run.run_id, limit: 1 }),
    (page) => page.cases.length > 0,
  );
  const [opened] = cases;
  if (opened === undefined) return;
  const { case_id, subject_event_id, queue } = opened;
  const known = await new LabelApi(way.api).known({
    run_id: run.run_id,
    targets: [{ kind: 'EVENT', event_id: subject_event_id }],
    label_type: LABEL_TYPE,
    as_of_utc: nowOf(way),
    rule_id: RULE,
  });
  const [answer] = known.answers;
  const isFraud = answer?.state === 'LABEL' && answer.label.label_value === 'FRAUD_CONFIRMED';
  const disposition = isFraud ? 'FRAUD' : 'LEGITIMATE';
  await api.command(case_id, {
    command: { type: 'SET_DISPOSITION', disposition, reason: 'the cardholder was asked' },
    idempotency_key: `golden-${case_id}`,
  });
  const shown = await polled(
    way,
    () => api.show(case_id),
    ({ case: { label } }) => label.state === 'ACCEPTED' || label.state === 'REJECTED',
  );
  passed(way, { units: 'cases, labels', what: 'a case was decided, and became a label', ...saysOf(shown, queue) });
}

function saysOf({ case: found, timeline }: ShownCase, queue: string) {
  const { case_id, label, disposition } = found;
  return {
    proof: `case ${short(case_id)} of ${queue}: ${disposition?.value ?? 'nothing'}, by ${disposition?.by ?? 'nobody'}; label ${label.state} ${short(label.label_id ?? label.code ?? '-')}`,
    ok: label.state === 'ACCEPTED',
    document: { case: found, timeline },
  };
}

/** What was known of the world until now, as a dataset whose every row is what was served. @throws HopFailed */
export async function datasetOf(way: Way, { run, payments, firstUtc, lastUtc }: DecidedWorld): Promise<DatasetReading> {
  const first = toEpochMicros(parseUtc(firstUtc));
  const last = toEpochMicros(parseUtc(lastUtc)) + 1;
  const at = (share: number): UtcMicros => fromEpochMicros(Math.round(first + share * (last - first)));
  const [validation, test] = [at(TRAIN_SHARE), at(TRAIN_SHARE + VALIDATION_SHARE)];
  const api = new DatasetApi(way.api);
  const { build } = await api.request({
    request_id: `golden-${run.run_id}`,
    kind: 'dataset_build',
    run_id: run.run_id,
    basis: { at: 'head' },
    label: { label_type: LABEL_TYPE, as_of_utc: nowOf(way), rule_id: RULE, maturity_days: MATURITY_DAYS },
    splits: [
      { name: 'train', from_utc: at(0), to_utc: validation },
      { name: 'validation', from_utc: validation, to_utc: test },
      { name: 'test', from_utc: test, to_utc: fromEpochMicros(last) },
    ],
  });
  const reading = await builtDataset(way, build.dataset_manifest_id);
  const { built } = reading.manifest;
  passed(way, {
    units: 'ofs',
    what: 'a dataset, each row as it was served',
    proof: `${parityOf(built.parity)}; ${thousands(built.rows_kept)} rows, labels ${Object.entries(
      built.label?.by_value ?? {},
    )
      .map(([value, rows]) => `${value} ${thousands(rows)}`)
      .join(', ')}; dataset ${short(reading.manifest.dataset_manifest_id)}`,
    ok: built.parity.outcome === 'MATCH' && built.parity.decisions === payments,
    document: { ...reading },
  });
  return reading;
}

/** Each decision of the run rebuilt from the log, and compared with the hash that it cites. @returns the id of the build @throws HopFailed */
export async function parityProven(way: Way, { run, payments }: DecidedWorld): Promise<string> {
  const api = new DatasetApi(way.api);
  const { build } = await api.request({
    request_id: `golden-parity-${run.run_id}`,
    kind: 'parity_rebuild',
    run_id: run.run_id,
    basis: { at: 'head' },
  });
  const id = build.dataset_manifest_id;
  const { build: ended } = await endedBuild(way, id);
  const parity = ended.detail.parity;
  passed(way, {
    units: 'ofs',
    what: 'offline features are the ones that were served',
    proof: parity === undefined ? `${ended.state} ${ended.detail.code ?? ''}` : parityOf(parity),
    ok: parity?.outcome === 'MATCH' && parity.decisions === payments,
    document: { build: ended },
  });
  return id;
}

async function builtDataset(way: Way, id: string): Promise<DatasetReading> {
  const { build } = await endedBuild(way, id);
  if (build.state !== 'DONE')
    passed(way, {
      ...{ units: 'ofs', what: 'a dataset', ok: false, document: { build } },
      proof: `${build.state}: ${build.detail.code ?? ''} ${build.detail.says ?? ''}`,
    });
  return await new DatasetApi(way.api).manifest(id);
}

const ENDED: ReadonlySet<string> = new Set(['DONE', 'FAILED', 'UNCHECKABLE', 'CANCELLED']);

async function endedBuild(way: Way, id: string) {
  const api = new DatasetApi(way.api);
  return await polled(
    way,
    async () => {
      const shown = await api.show(id);
      way.progress.at(`Rebuilding features (${shown.build.state})`, 0);
      return shown;
    },
    ({ build }) => ENDED.has(build.state),
  );
}

function parityOf({ match, decisions, not_served }: DatasetReading['manifest']['built']['parity']): string {
  const left = Object.entries(not_served).map(([why, count]) => `, ${thousands(count)} without features (${why})`);
  return `${thousands(match)} of ${thousands(decisions)} hashes equal${left.join('')}`;
}

export const nowOf = (way: Way): UtcMicros => fromEpochMs(way.clock.nowMs());

/** What was learned, and by which run of the factory. */
export interface Learned {
  readonly bundle: BundleName;
  readonly trainRunId: string;
}

/** A bundle that was learned from the dataset alone, judged on payments that it has not seen, and put before the registry. @throws HopFailed */
export async function trained(way: Way, { manifest }: DatasetReading): Promise<Learned> {
  const api = new ModelApi(way.api);
  const { dataset_manifest_id } = manifest;
  const { run } = await api.request({
    request_id: `golden-${dataset_manifest_id}`,
    kind: 'baseline_train',
    datasets: [{ role: 'train', dataset_manifest_id }],
  });
  const { run: ended } = await polled(
    way,
    async () => {
      const shown = await api.show(run.train_run_id);
      way.progress.at(`Learning (${shown.run.state})`, 0);
      return shown;
    },
    ({ run: { at_rest } }) => at_rest,
  );
  const { state, detail, published } = ended;
  const receipt = ended.trained === null ? undefined : await api.receipt(run.train_run_id);
  const failed = receipt?.criteria.filter(({ passed: did }) => !did) ?? [];
  passed(way, {
    units: 'mf',
    what: 'a bundle was learned, judged, and published',
    proof:
      published === null
        ? `${state} ${detail.code ?? ''} ${detail.says ?? ''} ${failed.map(({ name, observed, demanded }) => `${name}: ${observed}, demanded ${demanded}`).join('; ')}`
        : `${named(published.bundle)}; ${receipt?.criteria.length ?? 0} gates, each passed; run ${short(run.train_run_id)}`,
    ok: state === 'PUBLISHED' && receipt?.result === 'PASS',
    document: { run: ended, ...(receipt === undefined ? {} : { receipt }) },
  });
  if (published === null) throw new ProbityError('RPC_RESPONSE_INVALID', 'a run that was published names no bundle');
  const { bundle_id, bundle_version } = published.bundle;
  return { bundle: { bundle_id, bundle_version }, trainRunId: run.train_run_id };
}
