import { intervalOf, DEFAULT_BOOTSTRAP, differenceOf } from '../src/rails/learning/bootstrap.js';
import { averagePrecision } from '../src/rails/learning/ranking.js';
import { type Bench, type PairResult, timingOf } from './harness.js';
import { contestOf, type Entry, openHandbook, type Part } from './peers/contest.js';

const TRAIN_ROWS = 200_000;
const TEST_ROWS = 100_000;
/** 1 May 2018: thirty days of history stand before it. */
const FROM_S = Date.UTC(2018, 4, 1) / 1_000;
const PLAN = { ...DEFAULT_BOOTSTRAP, resamples: 300 };

/** Who is compared with whom in time: as many trees of the same size, then defaults. */
const PAIRS: readonly (readonly [string, string, number | undefined])[] = [
  ['trees as hgb-100', 'hgb-100', 2],
  ['trees as xgb', 'xgb', 2],
  ['trees', 'hgb-100', undefined],
  ['trees', 'xgb', undefined],
  ['trees', 'rf', undefined],
  ['logistic', 'xgb', undefined],
];

/** Training 200,000 × 15 on one thread beside scikit-learn and XGBoost, on the same rows: processor time and average precision. */
export const bench: Bench = async (note) => {
  const { matrix, folder } = await openHandbook();
  const first = matrix.seconds.findIndex((second) => second >= FROM_S);
  const part: Part = {
    name: 'whole',
    train: Int32Array.from({ length: TRAIN_ROWS }, (_, at) => first + at),
    test: Int32Array.from({ length: TEST_ROWS }, (_, at) => first + TRAIN_ROWS + at),
    own: { 'trees as hgb-100': 5, 'trees as xgb': 5, trees: 5, logistic: 3 },
    peers: { 'hgb-100': 5, xgb: 5, hgb: 3, rf: 1 },
  };
  const { entries, disagreement, versions } = await contestOf(matrix, folder, [part], averagePrecision);
  const labels = Uint8Array.from(part.test, (row) => matrix.labels[row] ?? 0);
  note(
    `${TRAIN_ROWS} × ${matrix.columns.length} rows from 2018-05-01, judged on the next ${TEST_ROWS}; times are of the processor; ${Object.entries(versions).join(' ').replaceAll(',', ' ')}; our average precision of the peers' scores is scikit-learn's within ${disagreement.toExponential(0)}`,
  );
  note('');
  note('| learner | average precision (95 % interval) | processor, median | wall clock, median |');
  note('| --- | --- | --- | --- |');
  for (const { learner, scores, cpuMs, wallMs } of entries) {
    const { value, low, high } = intervalOf('averagePrecision', scores, labels, PLAN);
    note(
      `| ${learner} | ${value.toFixed(3)} (${low.toFixed(3)} to ${high.toFixed(3)}) | ${seconds(cpuMs)} | ${seconds(wallMs)} |`,
    );
  }
  const scoresOf = (learner: string): Entry => {
    const entry = entries.find((each) => each.learner === learner);
    if (entry === undefined) throw new Error(`${learner} was not trained`);
    return entry;
  };
  for (const peer of ['hgb-100', 'xgb', 'rf']) {
    const found = differenceOf('averagePrecision', scoresOf('trees').scores, scoresOf(peer).scores, labels, PLAN);
    note(`trees − ${peer}: ${found.value.toFixed(3)} (${found.low.toFixed(3)} to ${found.high.toFixed(3)})`);
  }
  return PAIRS.map(([own, peer, goal]) => pairOf(scoresOf(own), scoresOf(peer), goal));
};

function pairOf(own: Entry, peer: Entry, goal: number | undefined): PairResult {
  const [ours, bare] = [timingOf(own.cpuMs), timingOf(peer.cpuMs)];
  return {
    name: `${own.learner}, against ${peer.learner}`,
    ours,
    bare,
    ratioP50: ours.p50Ms / bare.p50Ms,
    ratioP99: ours.p99Ms / bare.p99Ms,
    ...(goal === undefined ? {} : { ratioGoal: goal }),
  };
}

function seconds(times: readonly number[]): string {
  return `${(timingOf(times).p50Ms / 1_000).toFixed(2)} s`;
}
