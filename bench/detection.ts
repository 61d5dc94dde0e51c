import { differenceOf, DEFAULT_BOOTSTRAP } from '../src/rails/learning/bootstrap.js';
import { foldOf } from '../src/rails/learning/folds.js';
import { cardPrecisionAt } from '../src/rails/learning/metrics.js';
import { averagePrecision, qualityOf, rankingOf } from '../src/rails/learning/ranking.js';
import type { TrainedFold } from '../test/support/card-platform.js';
import type { Likeness } from '../test/support/card-rows.js';
import { BOOK, featuresOf, GROUPS, type SetName, SETS } from './detection/features.js';
import { type Figures, meanOf, recallByKind, shown } from './detection/figures.js';
import { atDay, type Ground, openBench, scoresBy } from './detection/ground.js';
import type { Bench } from './harness.js';
import { contestOf } from './peers/contest.js';

const WEEK = 7;
/** First days of test weeks, 2018; no setting was chosen by any of them. PROBITY_DETECTION_WEEKS names fewer, or others (MM-DD, with commas). */
const WEEKS = ['05-19', '05-26', '06-02', '06-09', '06-16', '06-23'];
/** The labels of the last day of the file are late by a week as well. */
const KNOWN_UNTIL = atDay('07-07', 0);
const PLAN = { ...DEFAULT_BOOTSTRAP, resamples: 300 };
const SET_NAMES = Object.keys(SETS) as SetName[];
const BESIDE = ['platform', 'trees', 'logistic', 'rf', 'xgb', 'hgb'] as const;

/** Whose scores: of the columns of a set, by a learner. */
const nameOf = (set: string, learner: string): string => `${set} | ${learner}`;

interface Fold {
  /** First day of the test, as month and day. */
  readonly first: string;
  readonly likeness: Likeness;
  readonly labels: Uint8Array;
  /** Of the test's rows, by `nameOf`. */
  readonly scores: ReadonlyMap<string, Float64Array>;
  readonly figures: ReadonlyMap<string, Figures>;
  /** How the runs of the factory ended. */
  readonly states: readonly string[];
  readonly contest: { readonly versions: Readonly<Record<string, string>>; readonly disagreement: number };
}

/**
 * The handbook's protocol on its own file, as a user of the platform would go through it: the file through the gate, datasets by the shadow, models by the
 * factory with its defaults; beside them scikit-learn's and XGBoost on the same rows, fold by fold. Then the same with what the platform has beyond the book.
 */
export const bench: Bench = async (note) => {
  const ground = await openBench();
  try {
    const folds: Fold[] = [];
    for (const first of weeksOf(process.env['PROBITY_DETECTION_WEEKS'])) folds.push(await foldOfWeek(first, ground));
    const sum = (what: keyof Likeness): number => folds.reduce((all, { likeness }) => all + likeness[what], 0);
    note(
      `${ground.world.rows} payments through the gate; ${sum('compared')} rows beside DuckDB's: ${sum('differing')} differ, ${sum('tied')} of them by the order within a second`,
    );
    const versions = Object.entries(folds[0]?.contest.versions ?? {}).map((each) => each.join(' '));
    const disagreement = Math.max(...folds.map(({ contest }) => contest.disagreement));
    note(`${versions.join(', ')}; average precision as scikit-learn's within ${disagreement.toExponential(0)}`);
    note(`The factory's runs: ${folds.flatMap(({ states }) => states).join('; ')}`);
    for (const line of [...besidePeers(folds), '', ...bySet(folds, ground), '', ...gains(folds)]) note(line);
    return [];
  } finally {
    await ground.close();
  }
};

function weeksOf(text: string | undefined): readonly string[] {
  return text === undefined ? WEEKS : text.split(',').sort();
}

async function foldOfWeek(first: string, { platform, desk, world }: Ground): Promise<Fold> {
  const [from = '', gap, test, end] = [-2 * WEEK, -WEEK, 0, WEEK].map((days) => atDay(first, days));
  const { id, file } = await platform.dataset(`test-${first}`, {
    run_id: world.runId as never,
    ...{ source: 'bus', anchor: 'event', feature_groups: [...GROUPS], rows: { from_utc: from, to_utc: end } },
    label: { label_type: 'fraud_disposition', as_of_utc: KNOWN_UNTIL, maturity_days: WEEK },
    splits: [
      { name: 'train', from_utc: from, to_utc: gap },
      { name: 'test', from_utc: test, to_utc: end },
    ],
  } as never);
  const columnsOf = (set: SetName): readonly string[] => featuresOf(platform.definitions, SETS[set]);
  const rows = await desk.rowsOf(`test-${first}`, file, featuresOf(platform.definitions, GROUPS));
  const { matrix, scenarios } = rows;
  const fold = foldOf(matrix, {
    ...{ start: Date.parse(from) / 1_000, trainDays: WEEK, gapDays: WEEK, testDays: WEEK },
  });
  const parts = [
    {
      ...{ name: 'book', train: fold.train, test: fold.test, columns: columnsOf('book') },
      ...{ own: { trees: 1, logistic: 1 }, peers: { rf: 1, xgb: 1, hgb: 1 } },
    },
  ];
  const runs: string[] = [];
  for (const set of SET_NAMES) runs.push(await platform.training(`cards ${set} ${first}`, id, columnsOf(set)));
  // The factory works in the platform's process meanwhile.
  const contest = await contestOf(matrix, rows.folder, parts, averagePrecision);
  const trained: TrainedFold[] = [];
  for (const run of runs) trained.push(await platform.trained(run));
  const scores = new Map<string, Float64Array>();
  for (const { part, learner, scores: own } of contest.entries) scores.set(nameOf(part, learner), own);
  const states = SET_NAMES.map((set, at) => {
    const run = trained[at];
    if (run === undefined) throw new TypeError('one run per set');
    scores.set(nameOf(set, 'platform'), scoresBy(run.bundle, matrix, fold.test));
    return [`${set} ${first} ${run.state}`, ...run.reasons].join(' ');
  });
  const labels = Uint8Array.from(fold.test, (row) => matrix.labels[row] ?? 0);
  const kinds = Uint8Array.from(fold.test, (row) => scenarios[row] ?? 0);
  const cards = Int32Array.from(fold.test, (row) => matrix.groups[row] ?? 0);
  const figures = new Map<string, Figures>();
  for (const [name, own] of scores) {
    const { averagePrecision: precision, rocAuc } = qualityOf(rankingOf(own), labels);
    const card = cardPrecisionAt(100, own, labels, cards, fold.days);
    figures.set(name, [precision ?? 0, rocAuc ?? 0, card, ...recallByKind(own, kinds)]);
  }
  return { first, likeness: await desk.likenessOf(rows), labels, scores, figures, states, contest };
}

/** The book's columns: ours and theirs. */
function besidePeers(folds: readonly Fold[]): readonly string[] {
  return [
    `| test week from | frauds | ${BESIDE.join(' | ')} | platform − rf (95 %) | platform − xgb (95 %) |`,
    `| --- | --- |${' --- |'.repeat(BESIDE.length + 2)}`,
    ...folds.map((fold) => {
      const cells = BESIDE.map((learner) => shown(fold.figures.get(nameOf('book', learner))));
      const apart = ['rf', 'xgb'].map((peer) => difference(fold, nameOf('book', 'platform'), nameOf('book', peer)));
      const frauds = fold.labels.reduce((sum, label) => sum + label, 0);
      return `| ${fold.first} | ${frauds} | ${[...cells, ...apart].join(' | ')} |`;
    }),
    `| mean | | ${BESIDE.map((learner) => shown(meanOver(folds, nameOf('book', learner)))).join(' | ')} | | |`,
    'Each cell: average precision / area under the ROC curve / card precision at 100.',
  ];
}

function bySet(folds: readonly Fold[], { platform }: Ground): readonly string[] {
  const names = [...(folds[0]?.figures.keys() ?? [])].sort();
  return [
    `Groups of the book: ${BOOK.join(', ')}.`,
    '| columns | learner | mean of the weeks | frauds of kinds 1 / 2 / 3 in the highest 1 % |',
    '| --- | --- | --- | --- |',
    ...names.map((name) => {
      const mean = meanOver(folds, name);
      const kinds = mean.slice(3).map((share) => `${(100 * share).toFixed(1)} %`);
      const count = featuresOf(platform.definitions, SETS[name.split(' | ')[0] as SetName]).length;
      return `| ${name.replace(' |', ` (${count}) |`)} | ${shown(mean)} | ${kinds.join(' / ')} |`;
    }),
  ];
}

/** What more columns are worth to the factory's bundle. */
function gains(folds: readonly Fold[]): readonly string[] {
  const sets = SET_NAMES.filter((set) => set !== 'book');
  return [
    `| average precision beyond the book's columns | ${sets.join(' | ')} |`,
    `| --- |${' --- |'.repeat(sets.length)}`,
    ...folds.map((fold) => {
      const cells = sets.map((set) => difference(fold, nameOf(set, 'platform'), nameOf('book', 'platform')));
      return `| ${fold.first} | ${cells.join(' | ')} |`;
    }),
  ];
}

function meanOver(folds: readonly Fold[], name: string): Figures {
  return meanOf(folds.map(({ figures }) => figures.get(name) ?? []));
}

function difference({ scores, labels }: Fold, one: string, other: string): string {
  const of = (name: string): Float64Array => scores.get(name) ?? new Float64Array(labels.length);
  const { value, low, high } = differenceOf('averagePrecision', of(one), of(other), labels, PLAN);
  return `${value.toFixed(3)} (${low.toFixed(3)} to ${high.toFixed(3)})`;
}
