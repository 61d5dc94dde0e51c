import { createReadStream, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createGunzip } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { calibrated, plattOf } from '../../src/rails/learning/calibration.js';
import { trainTrees } from '../../src/rails/learning/gradient-boosting.js';
import { rowsOf, splitByTime, type TrainingMatrix } from '../../src/rails/learning/matrix.js';
import { logOddsOf } from '../../src/rails/learning/predict.js';
import { SeededRandom } from '../../src/rails/learning/random.js';
import { averagePrecision } from '../../src/rails/learning/ranking.js';
import { DEFAULT_TREES } from '../../src/rails/learning/tree-settings.js';
import type { TreeModel } from '../../src/rails/model/bundle.schema.js';
import { CardPlatform, type TrainedFold } from '../support/card-platform.js';
import { CardDesk, type CardRows } from '../support/card-rows.js';
import { scratchDataFolder } from '../support/data-folder.js';
import { HANDBOOK_FEATURES } from '../support/handbook-oracle.js';

const LIMIT_MS = 600_000;
/** One in ten terminals of eight weeks: the last two weeks are judged and learnt from with a month of history. */
const [ONE_IN, REST, UNTIL, LATE] = [10, 3, '2018-05-26', '2018-04-28'];
const [TRAIN, GAP, TEST, END] = ['05-05', '05-12', '05-19', '05-26'].map((day) => `2018-${day}T00:00:00.000000Z`);
const GROUPS = ['handbook_transaction', 'handbook_customer', 'handbook_terminal'];

/**
 * A part of a file that this project did not make (PROBITY_TEST_HANDBOOK names it) from import to a trained bundle, once as it is and once with its labels
 * dealt anew among its payments.
 */
describe('what is learnt from the card data', () => {
  const folder = scratchDataFolder('detection');
  let platform: CardPlatform;
  let honest: Learnt;
  let shuffled: Learnt;

  interface Learnt {
    readonly rows: CardRows;
    readonly desk: CardDesk;
    readonly trained: TrainedFold;
    readonly train: TrainingMatrix;
    readonly test: TrainingMatrix;
  }

  async function learnt(name: string, lines: readonly string[]): Promise<Learnt> {
    const file = join(folder, `${name}.csv`);
    writeFileSync(file, `${lines.join('\n')}\n`);
    const { runId } = await platform.world(name, file, 'P7D');
    const { id, file: dataset } = await platform.dataset(name, {
      run_id: runId as never,
      ...{ source: 'bus', anchor: 'event', feature_groups: GROUPS },
      rows: { from_utc: TRAIN as never, to_utc: END as never },
      label: { label_type: 'fraud_disposition', as_of_utc: '2018-06-02T00:00:00.000000Z' as never, maturity_days: 7 },
      splits: [
        { name: 'train', from_utc: TRAIN as never, to_utc: GAP as never },
        { name: 'test', from_utc: TEST as never, to_utc: END as never },
      ],
    });
    const desk = await CardDesk.open(file, join(folder, `desk ${name}`));
    const rows = await desk.rowsOf('rows', dataset, HANDBOOK_FEATURES);
    const trained = await platform.trained(await platform.training(name, id, HANDBOOK_FEATURES));
    const within = (from = '', to = ''): TrainingMatrix => {
      const [first, end] = [Date.parse(from) / 1_000, Date.parse(to) / 1_000];
      const places = [...rows.matrix.seconds.keys()].filter((row) => {
        const second = rows.matrix.seconds[row] ?? 0;
        return second >= first && second < end;
      });
      return rowsOf(rows.matrix, places);
    };
    return { rows, desk, trained, train: within(TRAIN, GAP), test: within(TEST, END) };
  }

  beforeAll(async () => {
    const source = process.env['PROBITY_TEST_HANDBOOK'] ?? '';
    if (source === '') throw new Error('set PROBITY_TEST_HANDBOOK to the file');
    mkdirSync(folder, { recursive: true });
    const lines: string[] = [];
    for await (const line of createInterface({ input: createReadStream(source).pipe(createGunzip()) })) {
      const [, at = '', , terminal = ''] = line.split(',');
      if (lines.length > 0 && at >= UNTIL) break;
      if (lines.length === 0 || Number(terminal) % ONE_IN === REST) lines.push(line);
    }
    platform = await CardPlatform.open(folder);
    honest = await learnt('honest', lines);
    // Without its first weeks: of labels that say nothing no history is worth more.
    const late = lines.filter((line, at) => at === 0 || (line.split(',')[1] ?? '') >= LATE);
    shuffled = await learnt('shuffled', withLabelsDealtAnew(late));
  }, LIMIT_MS);
  afterAll(async () => {
    honest.desk.close();
    shuffled.desk.close();
    await platform.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('stands on rows that equal window functions over the file', async () => {
    const { compared, differing, tied } = await honest.desk.likenessOf(honest.rows);
    expect(compared).toBeGreaterThan(15_000);
    expect(differing).toBe(tied);
    // The twin: rows of the other file have other labels behind their terminals' risk.
    const crossed = await honest.desk.likenessOf(shuffled.rows);
    expect(crossed.differing).toBeGreaterThan(100);
  });

  it('is what the learner makes of the same rows outside of the factory, tree by tree', () => {
    const { train, test, trained } = honest;
    const local = learntFrom(train);
    expect((trained.bundle.model as TreeModel).trees).toEqual(local.trees);
    const scores = logOddsOf(local, test.columns, test.labels.length);
    expect(averagePrecision(scores, test.labels)).toBeCloseTo(trained.averagePrecision, 5);
    // The twin: one amount of a fraud, and it is another model.
    const [amount = new Float64Array(0), ...rest] = train.columns;
    const changed = amount.slice();
    changed[train.labels.indexOf(1)] = 1;
    expect(learntFrom({ ...train, columns: [changed, ...rest] }).trees).not.toEqual(local.trees);
  });

  it('finds frauds; and where the labels were dealt anew, no better than chance, and the gates say so', () => {
    const rate = ({ test: { labels } }: Learnt): number => labels.reduce((sum, each) => sum + each, 0) / labels.length;
    expect(honest.trained.averagePrecision / rate(honest)).toBeGreaterThan(20);
    expect(shuffled.trained.averagePrecision / rate(shuffled)).toBeLessThan(5);
    expect(shuffled.trained).toMatchObject({ state: 'FAILED_GATES', reasons: expect.arrayContaining(['GATE_LIFT']) });
  });
});

/** As the factory does by default: the last fifth by time says how many trees there are and how to calibrate, and all rows are learnt from. */
function learntFrom(rows: TrainingMatrix): TreeModel {
  const { train, later } = splitByTime(rows, 0.2);
  const { model: held, rounds } = trainTrees(train, DEFAULT_TREES, { later });
  const { model } = trainTrees(rows, { ...DEFAULT_TREES, rounds: rounds[0] ?? 0 });
  return calibrated(model, plattOf(logOddsOf(held, later.columns, later.labels.length), later.labels));
}

/** The two last cells of each line, fraud and its kind, go to another line. */
function withLabelsDealtAnew([header = '', ...lines]: readonly string[]): readonly string[] {
  const cells = lines.map((line) => line.split(','));
  const order = new SeededRandom(20_181_128).order(cells.length);
  return [
    header,
    ...cells.map((each, at) => [...each.slice(0, -2), ...(cells[order[at] ?? 0]?.slice(-2) ?? [])].join(',')),
  ];
}
