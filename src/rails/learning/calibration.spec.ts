import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { scoreOf } from '../model/score.js';
import { calibrated, plattOf, reliabilityOf } from './calibration.js';
import { trainTrees } from './gradient-boosting.js';
import { DEFAULT_LOGISTIC, trainLogistic } from './logistic.js';
import { splitByTime } from './matrix.js';
import { logOddsOf } from './predict.js';
import { SeededRandom } from './random.js';
import { averagePrecision } from './ranking.js';
import { DEFAULT_TREES } from './tree-settings.js';
import { plantedRows } from './worlds.kit.js';

const { train, later } = splitByTime(plantedRows(6_000, 11), 0.4);
const tree = trainTrees(train, { ...DEFAULT_TREES, rounds: 30, fraudWeight: 20 }).model;
const linear = trainLogistic(train, { ...DEFAULT_LOGISTIC, caps: { signal: 800 } });

/** Labels that are drawn from slope · x + intercept. */
function drawn(slope: number, intercept: number): { readonly logOdds: Float64Array; readonly labels: Uint8Array } {
  const random = new SeededRandom(3);
  const logOdds = Float64Array.from({ length: 40_000 }, () => 6 * random.unit() - 4);
  const labels = Uint8Array.from(logOdds, (x) =>
    random.unit() < 1 / (1 + Math.exp(-(slope * x + intercept))) ? 1 : 0,
  );
  return { logOdds, labels };
}

describe('Platt scaling', () => {
  it('finds the slope and the intercept that the labels were drawn with', () => {
    for (const [slope, intercept] of [
      [1, 0],
      [0.4, -2],
      [2.5, 1],
    ] as const) {
      const { logOdds, labels } = drawn(slope, intercept);
      const found = plattOf(logOdds, labels);
      expect(Math.abs(found.slope / slope - 1)).toBeLessThan(0.08);
      expect(Math.abs(found.intercept - intercept)).toBeLessThan(0.12);
      expect(found.held).toBe(false);
    }
  });

  it('folds into a model: served, it says slope · log odds + intercept', () => {
    const value = fc.option(fc.double({ min: -50, max: 1_500, noNaN: true }), { nil: null });
    const number = fc.double({ min: -3, max: 3, noNaN: true });
    fc.assert(
      fc.property(value, value, value, number, number, (a, b, c, slope, intercept) => {
        for (const model of [tree, linear]) {
          const before = scoreOf({ model }, [a, b, c]).logOdds;
          const after = scoreOf({ model: calibrated(model, { slope, intercept, held: false }) }, [a, b, c]);
          expect(after.logOdds).toBeCloseTo(slope * before + intercept, 9);
          // Contributions are still what the score is made of.
          expect(after.contributions.reduce((sum, each) => sum + each, after.base)).toBeCloseTo(after.logOdds, 9);
        }
      }),
    );
    // A slope that is a power of two changes no digit: the fold itself is exact.
    const before = logOddsOf(tree, later.columns, later.labels.length);
    const after = logOddsOf(
      calibrated(tree, { slope: 0.5, intercept: 0, held: false }),
      later.columns,
      later.labels.length,
    );
    expect(after).toEqual(before.map((each) => each / 2));
  });

  it('makes the probabilities of a model that weighs frauds twentyfold honest, and keeps their order', () => {
    const rows = later.labels.length;
    const before = logOddsOf(tree, later.columns, rows);
    const after = logOddsOf(calibrated(tree, plattOf(before, later.labels)), later.columns, rows);
    const [wild, tame] = [reliabilityOf(before, later.labels), reliabilityOf(after, later.labels)];
    expect(wild.expectedCalibrationError).toBeGreaterThan(0.1);
    expect(tame.expectedCalibrationError).toBeLessThan(0.03);
    expect(tame.brier).toBeLessThan(wild.brier);
    expect(averagePrecision(after, later.labels)).toBeCloseTo(averagePrecision(before, later.labels) ?? 0, 3);
  });

  it('holds its slope above nothing where the scores are upside down, and refuses labels of one kind', () => {
    const { logOdds, labels } = drawn(-1, 0);
    const found = plattOf(logOdds, labels);
    expect(found).toMatchObject({ held: true, slope: 0.01 });
    expect(() =>
      plattOf(
        logOdds,
        labels.map(() => 1),
      ),
    ).toThrow(/LEARNING_ROWS_INVALID/);
  });
});

describe('the table of reliability', () => {
  it('says of each bin what was said and what was', () => {
    const odds = Float64Array.from([-2, -2, -2, 0, 0, 3]);
    const { bins, expectedCalibrationError } = reliabilityOf(odds, Uint8Array.from([0, 0, 1, 1, 0, 1]), 3);
    expect(bins.map(({ rows, fraudShare }) => [rows, fraudShare])).toEqual([
      [3, 1 / 3],
      [2, 0.5],
      [1, 1],
    ]);
    expect(bins[1]?.meanProbability).toBe(0.5);
    expect(expectedCalibrationError).toBeCloseTo(
      (Math.abs(3 / (1 + Math.exp(2)) - 1) + 1 - 1 / (1 + Math.exp(-3))) / 6,
      9,
    );
  });

  it('has a small error for labels that were drawn from what was said, and a great one for others', () => {
    const { logOdds, labels } = drawn(1, 0);
    expect(reliabilityOf(logOdds, labels).expectedCalibrationError).toBeLessThan(0.01);
    expect(
      reliabilityOf(
        logOdds.map((x) => x + 2),
        labels,
      ).expectedCalibrationError,
    ).toBeGreaterThan(0.2);
  });
});
