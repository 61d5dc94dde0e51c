import { describe, expect, it } from '@jest/globals';
import { DEFAULT_BOOTSTRAP, differenceOf, intervalOf } from './bootstrap.js';
import { trainTrees } from './gradient-boosting.js';
import { logOddsOf } from './predict.js';
import { SeededRandom } from './random.js';
import { countOf } from './ranking.js';
import { DEFAULT_TREES } from './tree-settings.js';
import { plantedRows, shuffled } from './worlds.kit.js';

const [train, unseen] = [plantedRows(4_000, 21), plantedRows(4_000, 22)];
const rows = unseen.labels.length;
const base = countOf(unseen.labels) / rows;
const plan = { ...DEFAULT_BOOTSTRAP, resamples: 300 };
const scoresOf = (labels: Uint8Array): Float64Array =>
  logOddsOf(trainTrees({ ...train, labels }, { ...DEFAULT_TREES, rounds: 30 }).model, unseen.columns, rows);
const scores = scoresOf(train.labels);

describe('an interval', () => {
  it('has the share of fraud inside where labels were shuffled, and far below where a signal is known', () => {
    const nothing = intervalOf(
      'averagePrecision',
      scoresOf(shuffled(train.labels, 1)),
      shuffled(unseen.labels, 2),
      plan,
    );
    expect(nothing.low).toBeLessThan(base);
    expect(nothing.high).toBeGreaterThan(base);
    expect(intervalOf('averagePrecision', scores, unseen.labels, plan).low).toBeGreaterThan(2 * base);
    expect(intervalOf('rocAuc', scores, unseen.labels, plan).low).toBeGreaterThan(0.5);
  });

  it('is the same for the same seed, and narrower with more rows', () => {
    const whole = intervalOf('averagePrecision', scores, unseen.labels, plan);
    expect(intervalOf('averagePrecision', scores, unseen.labels, plan)).toEqual(whole);
    expect(intervalOf('averagePrecision', scores, unseen.labels, { ...plan, seed: 2 })).not.toEqual(whole);
    const half = intervalOf('averagePrecision', scores.subarray(0, 1_000), unseen.labels.subarray(0, 1_000), plan);
    expect(half.high - half.low).toBeGreaterThan(1.5 * (whole.high - whole.low));
    expect(() => intervalOf('averagePrecision', scores, new Uint8Array(rows), plan)).toThrow(/LEARNING_ROWS_INVALID/);
  });

  it('covers the truth about as often as it says', () => {
    // Scores of chance: the true area is one half.
    let covered = 0;
    for (let seed = 1; seed <= 100; seed += 1) {
      const random = new SeededRandom(seed, 5);
      const chance = Float64Array.from({ length: 300 }, () => random.unit());
      const labels = Uint8Array.from({ length: 300 }, () => (random.unit() < 0.2 ? 1 : 0));
      const { low, high } = intervalOf('rocAuc', chance, labels, { seed, resamples: 200, confidence: 0.9 });
      if (low <= 0.5 && high >= 0.5) covered += 1;
    }
    expect(covered).toBeGreaterThan(80);
    expect(covered).toBeLessThan(98);
  });

  it('of a difference is nothing for a model and itself, and leaves nothing out where one is better', () => {
    expect(differenceOf('averagePrecision', scores, scores, unseen.labels, plan)).toEqual({
      value: 0,
      low: 0,
      high: 0,
    });
    const random = new SeededRandom(9);
    const worse = scores.map((score) => score + 4 * random.unit());
    const better = differenceOf('averagePrecision', scores, worse, unseen.labels, plan);
    expect(better.low).toBeGreaterThan(0);
    expect(differenceOf('averagePrecision', worse, scores, unseen.labels, plan).high).toBeCloseTo(-better.low, 12);
  });
});
