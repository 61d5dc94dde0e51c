import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { digestCanonical } from '../canonical-json.js';
import type { LinearModel } from '../model/bundle.schema.js';
import { scoreOf } from '../model/score.js';
import { DEFAULT_LOGISTIC, trainLogistic } from './logistic.js';
import { rowsOf } from './matrix.js';
import { logOddsOf } from './predict.js';
import { averagePrecision, countOf, rocAuc } from './ranking.js';
import { SeededRandom } from './random.js';
import { plantedRows, shuffled } from './worlds.kit.js';

const rows = plantedRows(4_000, 7);
const train = (labels = rows.labels): LinearModel => trainLogistic({ ...rows, labels }, DEFAULT_LOGISTIC);

describe('logistic regression', () => {
  it('finds a signal in rows that it has not seen; with labels of other rows it finds none', () => {
    const unseen = plantedRows(4_000, 8);
    const auc = (model: LinearModel, labels: Uint8Array): number =>
      rocAuc(logOddsOf(model, unseen.columns, 4_000), labels) ?? 0;
    expect(auc(train(), unseen.labels)).toBeGreaterThan(0.65);
    const nothing = auc(train(shuffled(rows.labels, 2)), shuffled(unseen.labels, 3));
    expect(Math.abs(nothing - 0.5)).toBeLessThan(0.05);
    const ap = averagePrecision(logOddsOf(train(), unseen.columns, 4_000), unseen.labels) ?? 0;
    expect(ap).toBeGreaterThan((1.8 * countOf(unseen.labels)) / 4_000);
  });

  it('lies where the penalised likelihood is flat: no small step from there is better', () => {
    const model = train();
    const loss = (of: LinearModel): number => {
      const odds = logOddsOf(of, rows.columns, 4_000);
      const fit = odds.reduce((sum, each, row) => sum + Math.log1p(Math.exp(rows.labels[row] === 1 ? -each : each)), 0);
      const squares = of.inputs.reduce((sum, { weight, weight_missing }) => sum + weight ** 2 + weight_missing ** 2, 0);
      return fit + (DEFAULT_LOGISTIC.penalty * squares) / 2;
    };
    const least = loss(model);
    for (const step of [-1e-3, 1e-3]) {
      expect(loss({ ...model, intercept: model.intercept + step })).toBeGreaterThan(least);
      model.inputs.forEach((_, moved) => {
        for (const field of ['weight', 'weight_missing'] as const) {
          const inputs = model.inputs.map((input, at) =>
            at === moved ? { ...input, [field]: input[field] + step } : input,
          );
          expect(loss({ ...model, inputs })).toBeGreaterThan(least);
        }
      });
    }
  });

  it('says when served exactly what the learner says, caps and missing values included', () => {
    const model = trainLogistic(rows, { ...DEFAULT_LOGISTIC, caps: { signal: 500 } });
    const learnt = logOddsOf(model, rows.columns, 4_000);
    for (let row = 0; row < 1_000; row += 1) {
      const inputs = rows.columns.map((column) => (Number.isNaN(column[row]) ? null : (column[row] ?? null)));
      expect(scoreOf({ model }, inputs).logOdds).toBe(learnt[row]);
    }
    expect(model.inputs.map(({ cap }) => cap)).toEqual([500, undefined, undefined]);
  });

  it('is the same bytes each time, on any machine; in another order of the rows nearly the same', () => {
    expect(digestCanonical(train())).toBe('75e1420b7fa4d8464543311e8ad6f2971d9c7cfb68899ef88c82b4891a6912e8');
    const mixed = trainLogistic(rowsOf(rows, new SeededRandom(5).order(4_000)), DEFAULT_LOGISTIC);
    expect(mixed.intercept).toBeCloseTo(train().intercept, 9);
  });

  it('takes a row of weight 2 as two rows', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e6 }), (seed) => {
        const small = plantedRows(300, seed);
        if (countOf(small.labels) < 5) return;
        const random = new SeededRandom(seed, 1);
        const counts = Array.from({ length: 300 }, (_, row) => (row < 150 ? 1 : random.below(3)));
        const repeated = counts.flatMap((count, row) => Array.from({ length: count }, () => row));
        const weighted = trainLogistic({ ...small, weights: Float64Array.from(counts) }, DEFAULT_LOGISTIC);
        const plain = trainLogistic(rowsOf(small, repeated), DEFAULT_LOGISTIC);
        expect(weighted.intercept).toBeCloseTo(plain.intercept, 8);
        weighted.inputs.forEach(({ weight, mean }, at) => {
          expect(weight).toBeCloseTo(plain.inputs[at]?.weight ?? 0, 8);
          expect(mean).toBeCloseTo(plain.inputs[at]?.mean ?? 0, 8);
        });
      }),
      { numRuns: 20 },
    );
  });

  it('holds its weights where one column gives the label away', () => {
    const column = Float64Array.from(rows.labels, (label, row) => label * 1_000 + (row % 7));
    const given = trainLogistic({ ...rows, names: ['x'], columns: [column] }, { ...DEFAULT_LOGISTIC, penalty: 1e-3 });
    expect(Number.isFinite(given.intercept)).toBe(true);
    expect(given.inputs[0]?.weight).toBeGreaterThan(0);
    expect(rocAuc(logOddsOf(given, [column], 4_000), rows.labels)).toBe(1);
  });

  it('ends when it is told to, and refuses labels of one kind', () => {
    expect(() => trainLogistic(rows, DEFAULT_LOGISTIC, { stopped: () => true })).toThrow(/LEARNING_STOPPED/);
    expect(() => train(new Uint8Array(4_000))).toThrow(/LEARNING_ROWS_INVALID/);
    expect(() => trainLogistic(rows, { ...DEFAULT_LOGISTIC, penalty: -1 })).toThrow(/LEARNING_SETTINGS_INVALID/);
  });
});
