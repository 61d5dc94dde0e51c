import { differenceOf, DEFAULT_BOOTSTRAP } from '../src/rails/learning/bootstrap.js';
import { foldOf } from '../src/rails/learning/folds.js';
import { cardPrecisionAt } from '../src/rails/learning/metrics.js';
import { averagePrecision, qualityOf, rankingOf } from '../src/rails/learning/ranking.js';
import type { Bench } from './harness.js';
import { contestOf, openHandbook } from './peers/contest.js';

const WEEK_DAYS = 7;
const DAY_S = 86_400;
/** First days of training, 2018. The tests are the weeks from 19 May to 29 June; no setting was chosen by any of them. */
const STARTS = ['05-05', '05-12', '05-19', '05-26', '06-02', '06-09'];
const LEARNERS = ['trees', 'logistic', 'rf', 'xgb', 'hgb'];
const PLAN = { ...DEFAULT_BOOTSTRAP, resamples: 300 };

/** The handbook's protocol on its own file: our learners with their defaults beside scikit-learn's and XGBoost, fold by fold. */
export const bench: Bench = async (note) => {
  const { matrix, scenarios, folder } = await openHandbook();
  const folds = STARTS.map((day) => {
    const start = Date.parse(`2018-${day}T00:00:00Z`) / 1_000;
    const first = new Date((start + 2 * WEEK_DAYS * DAY_S) * 1_000).toISOString().slice(5, 10);
    const plan = { start, trainDays: WEEK_DAYS, gapDays: WEEK_DAYS, testDays: WEEK_DAYS };
    return { name: `test-${first}`, first, ...foldOf(matrix, plan) };
  });
  const parts = folds.map(({ name, train, test }) => ({
    name,
    train,
    test,
    own: { trees: 1, logistic: 1 },
    peers: { rf: 1, xgb: 1, hgb: 1 },
  }));
  const { entries, versions, disagreement } = await contestOf(matrix, folder, parts, averagePrecision);
  const sums = new Map(LEARNERS.map((learner) => [learner, new Float64Array(6)]));
  note(
    `${Object.entries(versions).join(' ').replaceAll(',', ' ')}; average precision as scikit-learn's within ${disagreement.toExponential(0)}`,
  );
  note('');
  note(`| test week from | frauds | ${LEARNERS.join(' | ')} | trees − rf (95 %) | trees − xgb (95 %) |`);
  note(`| --- | --- |${' --- |'.repeat(LEARNERS.length + 2)}`);
  for (const { name, first, test, days } of folds) {
    const labels = Uint8Array.from(test, (row) => matrix.labels[row] ?? 0);
    const kinds = Uint8Array.from(test, (row) => scenarios[row] ?? 0);
    const cards = Int32Array.from(test, (row) => matrix.groups[row] ?? 0);
    const scoresOf = (learner: string): Float64Array =>
      entries.find((entry) => entry.part === name && entry.learner === learner)?.scores ?? new Float64Array(0);
    const cells = LEARNERS.map((learner) => {
      const scores = scoresOf(learner);
      const { averagePrecision: ap, rocAuc } = qualityOf(rankingOf(scores), labels);
      const figures = [ap ?? 0, rocAuc ?? 0, cardPrecisionAt(100, scores, labels, cards, days)];
      const recalls = recallByKind(scores, kinds);
      [...figures, ...recalls].forEach((figure, at) => {
        const sum = sums.get(learner);
        if (sum !== undefined) sum[at] = (sum[at] ?? 0) + figure / folds.length;
      });
      return figures.map((figure) => figure.toFixed(3)).join(' / ');
    });
    const differences = ['rf', 'xgb'].map((peer) => {
      const found = differenceOf('averagePrecision', scoresOf('trees'), scoresOf(peer), labels, PLAN);
      return `${found.value.toFixed(3)} (${found.low.toFixed(3)} to ${found.high.toFixed(3)})`;
    });
    const frauds = labels.reduce((sum, label) => sum + label, 0);
    note(`| ${first} | ${frauds} | ${cells.join(' | ')} | ${differences.join(' | ')} |`);
  }
  const means = (from: number, to: number): string =>
    LEARNERS.map((learner) =>
      [...(sums.get(learner)?.slice(from, to) ?? [])].map((mean) => mean.toFixed(3)).join(' / '),
    ).join(' | ');
  note(`| mean | | ${means(0, 3)} | | |`);
  note('Each cell: average precision / area under the ROC curve / card precision at 100.');
  note('');
  note(`Share of the frauds of each kind (1 / 2 / 3) among the 1 % with the highest scores, mean: ${means(3, 6)}`);
  return [];
};

/** Among the highest 1 %: the share of the frauds of kinds 1, 2 and 3. */
function recallByKind(scores: Float64Array, kinds: Uint8Array): readonly number[] {
  const { order } = rankingOf(scores);
  const looked = order.subarray(0, Math.round(0.01 * order.length));
  return [1, 2, 3].map((kind) => {
    const all = kinds.filter((each) => each === kind).length;
    return looked.filter((row) => kinds[row] === kind).length / Math.max(1, all);
  });
}
