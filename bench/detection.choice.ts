import { foldOf } from '../src/rails/learning/folds.js';
import { rowsOf, splitByTime, type TrainingMatrix } from '../src/rails/learning/matrix.js';
import { trainTrees } from '../src/rails/learning/gradient-boosting.js';
import { logOddsOf } from '../src/rails/learning/predict.js';
import { averagePrecision } from '../src/rails/learning/ranking.js';
import { DEFAULT_TREES } from '../src/rails/learning/tree-settings.js';
import { DEFAULT_RECIPE } from '../src/modules/model-factory/learning/recipe.schema.js';
import { BOOK, featuresOf, GROUPS, WINDOW_SETS } from './detection/features.js';
import { atDay, openBench } from './detection/ground.js';
import type { Bench } from './harness.js';
import { columnsOf } from './peers/contest.js';

/** First day of training, days of gap: a week is learnt from and a week judged on, and all of them end before the first test week of `detection` begins. */
const PAIRS: readonly (readonly [string, number])[] = [
  ['04-23', 7],
  ['04-25', 7],
  ['04-26', 4],
  ['04-28', 4],
  ['04-30', 1],
  ['05-01', 1],
];
const LATER_SHARE = DEFAULT_RECIPE.later_share_ppm / 1_000_000;
const TRIED = Object.keys(WINDOW_SETS) as (keyof typeof WINDOW_SETS)[];

/**
 * Which windows beyond the book's are worth their columns: every combination of three sets, by mean average precision over six pairs of weeks, with the factory's settings and its share held
 * back; and what is lost by holding it back. The test weeks are not read.
 */
export const bench: Bench = async (note) => {
  const { platform, desk, world, close } = await openBench();
  try {
    const groups = [...GROUPS];
    const { file } = await platform.dataset('choice', {
      run_id: world.runId as never,
      ...{ source: 'bus', anchor: 'event', feature_groups: groups },
      rows: { from_utc: atDay('04-23', 0), to_utc: atDay('05-16', 0) },
      label: { label_type: 'fraud_disposition', as_of_utc: atDay('05-23', 0), maturity_days: 7 },
    } as never);
    const { matrix } = await desk.rowsOf('choice', file, featuresOf(platform.definitions, groups));
    const folds = PAIRS.map(([day, gapDays]) =>
      foldOf(matrix, { start: Date.parse(atDay(day, 0)) / 1_000, trainDays: 7, gapDays, testDays: 7 }),
    );
    note('| columns | learnt from | mean average precision | pair by pair |');
    note('| --- | --- | --- | --- |');
    const tell = (name: string, names: readonly string[], how: How): void => {
      const seen = columnsOf(matrix, names);
      const all = folds.map(({ train, test }) => judged(rowsOf(seen, train), rowsOf(seen, test), how));
      const mean = all.reduce((sum, each) => sum + each, 0) / all.length;
      note(
        `| ${name} (${names.length}) | ${how} | ${mean.toFixed(4)} | ${all.map((each) => each.toFixed(3)).join(' ')} |`,
      );
    };
    const named = (sets: readonly (keyof typeof WINDOW_SETS)[]): readonly string[] =>
      featuresOf(platform.definitions, [...BOOK, ...sets.flatMap((set) => WINDOW_SETS[set])]);
    for (const how of ['whole', 'again'] as const) tell('the book', named([]), how);
    for (let choice = 0; choice < 2 ** TRIED.length; choice += 1) {
      const sets = TRIED.filter((_, at) => (choice >> at) % 2 === 1);
      tell(['the book', ...sets].join(' + '), named(sets), 'held');
    }
    return [];
  } finally {
    await close();
  }
};

/**
 * `held`: the last rows by time say when to stop, and are not learnt from. `whole`: nothing is held back, and nothing stops. `again`: as many trees as `held` found, learnt
 * from all rows, as the factory does.
 */
type How = 'held' | 'whole' | 'again';

function judged(rows: TrainingMatrix, test: TrainingMatrix, how: How): number {
  const { train, later } = splitByTime(rows, LATER_SHARE);
  const held = how === 'whole' ? null : trainTrees(train, DEFAULT_TREES, { later });
  const rounds = held?.rounds[0] ?? DEFAULT_TREES.rounds;
  const { model } = how === 'held' && held !== null ? held : trainTrees(rows, { ...DEFAULT_TREES, rounds });
  return averagePrecision(Float64Array.from(logOddsOf(model, test.columns, test.labels.length)), test.labels) ?? 0;
}
