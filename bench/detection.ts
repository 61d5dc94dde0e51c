import { join } from 'node:path';
import { DEFAULT_BOOTSTRAP, differenceOf } from '../src/rails/learning/bootstrap.js';
import { foldOf } from '../src/rails/learning/folds.js';
import { cardPrecisionAt } from '../src/rails/learning/metrics.js';
import { averagePrecision, qualityOf, rankingOf } from '../src/rails/learning/ranking.js';
import { BOOK, featuresOf, GROUPS, type SetName, SETS } from './detection/features.js';
import { atDay, openBench, scoresBy } from './detection/ground.js';
import { type Figures, meanOf, recallByKind, shown } from './detection/figures.js';
import type { Bench } from './harness.js';
import { contestOf } from './peers/contest.js';

const WEEK_DAYS = 7;
/** First days of training, 2018. The tests are the weeks from 19 May to 29 June; no setting was chosen by any of them. */
const STARTS = ['05-05', '05-12', '05-19', '05-26', '06-02', '06-09'];
/** Labels of the last test week are late by a week as well. */
const KNOWN_UNTIL = atDay('07-07', 0);
const PLAN = { ...DEFAULT_BOOTSTRAP, resamples: 300 };
const SET_NAMES = Object.keys(SETS) as SetName[];
/** Sets on which the peers are trained, too. */
const PEERS: Partial<Readonly<Record<SetName, Readonly<Record<string, number>>>>> = {
  book: { rf: 1, xgb: 1, hgb: 1 },
  'windows and 1 day': { rf: 1, xgb: 1 },
};
const BESIDE = ['platform', 'trees', 'logistic', 'rf', 'xgb', 'hgb'];

/**
 * The handbook's protocol on its own file, as a user of the platform would go through it: the file through the gate, datasets by the shadow, models by the factory with its
 * defaults; beside them scikit-learn's and XGBoost on the same rows, fold by fold. Then the same with what the platform has beyond the book.
 */
export const bench: Bench = async (note) => {
  const { platform, desk, folder, world, close } = await openBench();
  try {
    note(`${world.rows.toLocaleString('en')} payments through the gate.`);
    const features = featuresOf(platform.definitions, GROUPS);
    /** Figures of each learner on each set, fold by fold: `set / learner`. */
    const found = new Map<string, Figures[]>();
    const keep = (set: SetName, learner: string, figures: Figures): void => {
      const name = `${set} / ${learner}`;
      found.set(name, [...(found.get(name) ?? []), figures]);
    };
    const lines: string[] = [];
    const gains: string[] = [];
    const states: string[] = [];
    const alike = { compared: 0, differing: 0, tied: 0 };
    let [versions, disagreement] = ['', 0];
    for (const start of STARTS) {
      const [from, test, end] = [0, 2 * WEEK_DAYS, 3 * WEEK_DAYS].map((days) => atDay(start, days));
      const first = test?.slice(5, 10) ?? '';
      const { id, file } = await platform.dataset(`test-${first}`, {
        run_id: world.runId as never,
        ...{ source: 'bus', anchor: 'event', feature_groups: [...GROUPS], rows: { from_utc: from, to_utc: end } },
        label: { label_type: 'fraud_disposition', as_of_utc: KNOWN_UNTIL, maturity_days: 7 },
        splits: [
          { name: 'train', from_utc: from, to_utc: atDay(start, WEEK_DAYS) },
          { name: 'test', from_utc: test, to_utc: end },
        ],
      } as never);
      const rows = await desk.rowsOf(`test-${first}`, file, features);
      const likeness = await desk.likenessOf(rows);
      alike.compared += likeness.compared;
      alike.differing += likeness.differing;
      alike.tied += likeness.tied;
      const { matrix, scenarios } = rows;
      const plan = { trainDays: WEEK_DAYS, gapDays: WEEK_DAYS, testDays: WEEK_DAYS };
      const fold = foldOf(matrix, { start: Date.parse(from ?? '') / 1_000, ...plan });
      const labels = Uint8Array.from(fold.test, (row) => matrix.labels[row] ?? 0);
      const kinds = Uint8Array.from(fold.test, (row) => scenarios[row] ?? 0);
      const cards = Int32Array.from(fold.test, (row) => matrix.groups[row] ?? 0);
      const figuresOf = (scores: Float64Array): Figures => {
        const { averagePrecision: ap, rocAuc } = qualityOf(rankingOf(scores), labels);
        const card = cardPrecisionAt(100, scores, labels, cards, fold.days);
        return [ap ?? 0, rocAuc ?? 0, card, ...recallByKind(scores, kinds)];
      };
      const scores = new Map<string, Float64Array>();
      for (const set of SET_NAMES) {
        const columns = featuresOf(platform.definitions, SETS[set]);
        const { bundle, state, reasons } = await platform.trained(`${set} ${first}`, id, columns);
        states.push(`${set} ${first}: ${state}${reasons.length === 0 ? '' : ` (${reasons.join(', ')})`}`);
        scores.set(`${set} / platform`, scoresBy(bundle, matrix, fold.test));
      }
      const parts = SET_NAMES.map((set) => ({
        name: set.replaceAll(' ', '-'),
        ...{ train: fold.train, test: fold.test, columns: featuresOf(platform.definitions, SETS[set]) },
        own: { trees: 1, ...(set === 'book' ? { logistic: 1 } : {}) },
        peers: PEERS[set] ?? {},
      }));
      const contest = await contestOf(matrix, rows.folder, parts, averagePrecision);
      versions = Object.entries(contest.versions).join(' ').replaceAll(',', ' ');
      disagreement = Math.max(disagreement, contest.disagreement);
      for (const { part, learner, scores: own } of contest.entries)
        scores.set(`${SET_NAMES.find((set) => set.replaceAll(' ', '-') === part) ?? ''} / ${learner}`, own);
      for (const [name, own] of scores) {
        const [set = '', learner = ''] = name.split(' / ');
        keep(set as SetName, learner, figuresOf(own));
      }
      const difference = (one: string, other: string): string => {
        const none = new Float64Array(0);
        const { value, low, high } = differenceOf(
          'averagePrecision',
          scores.get(one) ?? none,
          scores.get(other) ?? none,
          labels,
          PLAN,
        );
        return `${value.toFixed(3)} (${low.toFixed(3)} to ${high.toFixed(3)})`;
      };
      const frauds = labels.reduce((sum, label) => sum + label, 0);
      const cells = BESIDE.map((learner) => shown(found.get(`book / ${learner}`)?.at(-1)));
      const apart = ['rf', 'xgb'].map((peer) => difference('book / platform', `book / ${peer}`));
      lines.push(`| ${first} | ${frauds} | ${[...cells, ...apart].join(' | ')} |`);
      const added = SET_NAMES.slice(1).map((set) => difference(`${set} / platform`, 'book / platform'));
      gains.push(`| ${first} | ${added.join(' | ')} |`);
    }
    note(
      `${alike.compared} rows beside DuckDB's: ${alike.differing} differ, ${alike.tied} of them by the order within a second.`,
    );
    note(`${versions}; average precision as scikit-learn's within ${disagreement.toExponential(0)}`);
    note('');
    note(`| test week from | frauds | ${BESIDE.join(' | ')} | platform − rf (95 %) | platform − xgb (95 %) |`);
    note(`| --- | --- |${' --- |'.repeat(BESIDE.length + 2)}`);
    for (const line of lines) note(line);
    note(
      `| mean | | ${BESIDE.map((learner) => shown(meanOf(found.get(`book / ${learner}`) ?? []))).join(' | ')} | | |`,
    );
    note('Each cell: average precision / area under the ROC curve / card precision at 100.');
    note('');
    note('| columns | learner | mean | frauds of kinds 1 / 2 / 3 in the highest 1 % |');
    note('| --- | --- | --- | --- |');
    for (const [name, figures] of [...found].sort()) {
      const [set = '', learner = ''] = name.split(' / ');
      const mean = meanOf(figures);
      const kinds = mean.slice(3).map((share) => `${(100 * share).toFixed(1)} %`);
      note(
        `| ${set} (${featuresOf(platform.definitions, SETS[set as SetName]).length}) | ${learner} | ${shown(mean)} | ${kinds.join(' / ')} |`,
      );
    }
    note('');
    note(`| what the platform's average precision gains over the book's columns | ${SET_NAMES.slice(1).join(' | ')} |`);
    note(`| --- |${' --- |'.repeat(SET_NAMES.length - 1)}`);
    for (const line of gains) note(line);
    note('');
    note(
      `Runs of the factory: ${states.join('; ')}. Groups of the book: ${BOOK.join(', ')}. Files: ${join(folder, 'test-*.parquet')}.`,
    );
    return [];
  } finally {
    await close();
  }
};
