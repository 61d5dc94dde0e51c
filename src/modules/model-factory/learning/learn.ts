import { ProbityError } from '../../../rails/errors/probity-error.js';
import type { Bundle } from '../../../rails/model/bundle.schema.js';
import { validatorOf } from '../../../rails/validator.js';
import type { PartRows } from './dataset-matrix.js';
import { type EvalReport, EvalReportSchema, REPORT_FORMAT } from './eval-report.schema.js';
import {
  curveFigures,
  driftFigures,
  partFigures,
  qualityFigures,
  rounded,
  sliceFigures,
  joinedRows,
  sliceOfRows,
} from './figures.js';
import { type GateFindings, gatesOf, reasonsOf } from './gates.core.js';
import { demandInputs, inputsOfBundle, type ResolvedInput } from './inputs.js';
import {
  besideActive,
  bundleFigures,
  importanceFigures,
  type Rival,
  rivalOf,
  silentInputs,
  unsoundness,
  warningsOf,
} from './judging.js';
import type { Ground, trainedBundle } from './learner.js';
import type { LearningProgress, LearningResult, LearningTask } from './learning-task.js';
import { calibrationFigures, learnerFigures, type Made, make, searchFigures } from './making.js';
import { demandWithinLimits, type ReadRows, readRows, seenBy, unionOf } from './reading.js';
import { recipeDigest } from './recipe.schema.js';
import { htmlOf } from './report-html.js';
import { type ScoreExternal, scoresOf } from './scoring.js';
import { Watch } from './watch.js';

/** What the work takes from the thread that it runs in. */
export interface LearningGround {
  readonly monotonicMs: () => number;
  readonly onProgress: (progress: LearningProgress) => void;
  readonly scoreExternal: ScoreExternal;
  /** `trainedBundle`, but where a test plays a trainer that is not deterministic. */
  readonly train?: typeof trainedBundle;
}

const reports = validatorOf(EvalReportSchema, 'the report');

/** Does a task, from the files to the receipt. @throws see `RunLearning` */
export async function learn(task: LearningTask, ground: LearningGround): Promise<LearningResult> {
  const watch = new Watch(ground.monotonicMs, ground.onProgress);
  const inputs = inputsOf(task);
  const rival = rivalOf(task.active, firstManifest(task));
  const read = unionOf(inputs, rival.inputs);
  demandWithinLimits(task, read.length);
  const rows = await watch.during('reading', () => readRows(task, read));
  const made = task.kind === 'evaluate' ? null : await makeOf(task, inputs, rows, ground, watch);
  const bundle = made?.bundle ?? task.candidate;
  if (bundle === null) throw new ProbityError('INTERNAL', 'there is no bundle to judge');
  const { report, findings } = await watch.during('evaluating', () =>
    judge(task, { bundle, made, inputs, rival, rows }, ground.scoreExternal),
  );
  const criteria = gatesOf(report, findings, task.policy.body);
  const receipt: LearningResult['receipt'] = {
    bundle_digest: report.bundle.digest,
    result: criteria.every(({ passed }) => passed) ? 'PASS' : 'FAIL',
    criteria,
    reason_codes: reasonsOf(criteria, findings),
    policy_rev: task.policy.policy_rev,
    dataset_manifests: task.datasets.map(({ manifest_digest }) => manifest_digest),
    decided_at_utc: task.decided_at_utc,
  };
  const html = await watch.during('reporting', () => htmlOf(report, receipt));
  return { bundle, bundle_digest: report.bundle.digest, report, html, receipt, durations: watch.durations };
}

/** Of a bundle that is only judged the recipe says nothing; the datasets have to fit each other all the same. */
function inputsOf({ kind, candidate, recipe, datasets, policy }: LearningTask): readonly ResolvedInput[] {
  if ((kind === 'evaluate') !== (candidate !== null))
    throw new ProbityError('MF_SCHEMA_INCOMPATIBLE_WITH_RECIPE', 'a bundle is given exactly where one is only judged');
  const wanted = demandInputs(datasets, candidate === null ? recipe : { inputs: 'all' }, policy.body);
  return candidate === null ? wanted : inputsOfBundle(candidate, firstManifest({ datasets }));
}

function firstManifest({ datasets: [first] }: Pick<LearningTask, 'datasets'>) {
  if (first === undefined) throw new ProbityError('MF_SCHEMA_INCOMPATIBLE_WITH_RECIPE', 'a dataset is wanted');
  return first.manifest;
}

function makeOf(
  { recipe, datasets, policy }: LearningTask,
  inputs: readonly ResolvedInput[],
  rows: ReadRows,
  { train: trainer }: LearningGround,
  watch: Watch,
): Promise<Made> {
  const dataset = datasets.find(({ role }) => role === 'train')?.manifest_digest;
  if (dataset === undefined || rows.train === null || rows.later === null)
    throw new ProbityError('MF_SCHEMA_INCOMPATIBLE_WITH_RECIPE', 'a dataset of the role train is wanted');
  const ground: Ground = {
    ...{ recipe, inputs, dataset },
    train: seenBy(rows.train, inputs).matrix,
    later: seenBy(rows.later, inputs).matrix,
  };
  return make(ground, policy.body.determinism.retrain, watch, trainer);
}

interface Judged {
  readonly bundle: Bundle;
  /** null: it was not made here. */
  readonly made: Made | null;
  readonly inputs: readonly ResolvedInput[];
  readonly rival: Rival;
  readonly rows: ReadRows;
}

async function judge(
  task: LearningTask,
  { bundle, made, inputs, rival, rows }: Judged,
  external: ScoreExternal,
): Promise<{ readonly report: EvalReport; readonly findings: GateFindings }> {
  const policy = task.policy.body;
  const judged = seenBy(rows.eval, inputs);
  const train = rows.train === null ? null : seenBy(rows.train, inputs);
  const logOdds = await scoresOf(bundle, judged, external);
  const later = rows.later === null ? null : seenBy(rows.later, inputs);
  const [then, now] = comparedParts(train, later, judged);
  const drift = driftFigures(
    { rows: then, logOdds: await scoresOf(bundle, then, external) },
    { rows: now, logOdds: await scoresOf(bundle, now, external) },
  );
  const report = reports.demand({
    report_format: REPORT_FORMAT,
    kind: task.kind,
    bundle: bundleFigures(bundle),
    recipe_digest: made === null ? null : recipeDigest(task.recipe),
    policy_rev: task.policy.policy_rev,
    code_release: task.code_release,
    decided_at_utc: task.decided_at_utc,
    datasets: datasetFigures(task, rows),
    split_rule: rows.rule,
    parts: {
      train: train === null ? null : partFigures(train),
      later: rows.later === null ? null : partFigures(rows.later),
      eval: partFigures(judged),
    },
    learner: made === null ? null : learnerFigures(task, made),
    search: made === null ? null : searchFigures(made),
    quality: qualityFigures(logOdds, judged, policy),
    ...curveFigures(logOdds, judged, policy),
    calibration: made === null ? null : calibrationFigures(made),
    slices: sliceFigures(logOdds, judged, policy),
    drift: train === null ? null : drift,
    importance: importanceFigures(bundle, judged, made),
    active: await besideActive(rival, rows.eval, logOdds, policy, external),
    retrained:
      made === null || made.second === null ? null : { digest: made.second, same: made.second === made.digest },
    warnings: warningsOf(judged, train, made),
  });
  const findings: GateFindings = {
    unsound: unsoundness(bundle),
    gapHours: rows.gapHours === null ? null : rounded(rows.gapHours),
    ownDataset: made === null && madeOfThese(task, bundle),
    silentInputs: silentInputs(bundle),
    again:
      made === null
        ? { what: 'scored', same: sameScores(logOdds, await scoresOf(bundle, judged, external)) }
        : made.second === null
          ? null
          : { what: 'trained', same: made.second === made.digest },
    stability: {
      psi: drift.score_psi,
      beside: train === null ? 'the later half of the rows beside the earlier' : 'beside the rows of training',
    },
  };
  return { report, findings };
}

/** What is held against what, to see whether scores are stable: all rows that were learnt from and those that are judged on, or the halves of what there is. */
function comparedParts(
  train: PartRows | null,
  later: PartRows | null,
  judged: PartRows,
): readonly [PartRows, PartRows] {
  if (train !== null) return [later === null ? train : joinedRows(train, later), judged];
  const rows = judged.micros.length;
  return [sliceOfRows(judged, 0, rows >> 1), sliceOfRows(judged, rows >> 1, rows)];
}

function datasetFigures({ datasets }: LearningTask, { leftOut }: ReadRows): object[] {
  return datasets.map(({ role, manifest, manifest_digest }, at) => ({
    role,
    dataset_manifest_id: manifest.dataset_manifest_id,
    manifest_digest,
    run_id: manifest.plan.pins.run_id,
    label_as_of_utc: manifest.built.label?.as_of_utc,
    rows: manifest.built.materialisations[0]?.rows ?? 0,
    left_out: leftOut[at] ?? {},
  }));
}

/** Whether the bundle says that it was made of the rows that it is judged on. Of a dataset with splits it may have learnt from the split train. */
function madeOfThese({ datasets }: LearningTask, { lineage }: Bundle): boolean {
  return datasets.some(({ role, manifest_digest }) => role === 'eval' && manifest_digest === lineage.dataset_digest);
}

function sameScores(one: Float64Array, other: Float64Array): boolean {
  return one.length === other.length && one.every((score, row) => score === other[row]);
}
