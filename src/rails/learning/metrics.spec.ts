import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { brier, cardPrecisionAt, costCurve, logLoss, probabilitiesOf, sliceQualities } from './metrics.js';
import { reliabilityOf, plattOf } from './calibration.js';
import { averagePrecision, looked, qualityOf, rankingOf, recallAt, rocAuc, thresholdCurve } from './ranking.js';

/** Few different scores, so that many are equal. */
const rows = fc.array(fc.record({ score: fc.integer({ min: -5, max: 5 }), label: fc.integer({ min: 0, max: 1 }) }), {
  minLength: 1,
  maxLength: 40,
});
type Rows = readonly { readonly score: number; readonly label: number }[];
const scoresOf = (of: Rows): Float64Array => Float64Array.from(of, ({ score }) => score);
const labelsOf = (of: Rows): Uint8Array => Uint8Array.from(of, ({ label }) => label);

/** The definition, threshold by threshold. */
function naivePrecision(of: Rows): number | null {
  const frauds = of.filter(({ label }) => label === 1).length;
  if (frauds === 0) return null;
  let [sum, before] = [0, 0];
  for (const threshold of [...new Set(of.map(({ score }) => score))].sort((a, b) => b - a)) {
    const above = of.filter(({ score }) => score >= threshold);
    const caught = above.filter(({ label }) => label === 1).length;
    sum += (caught / frauds - before) * (caught / above.length);
    before = caught / frauds;
  }
  return sum;
}

/** The definition, pair by pair. */
function naiveAuc(of: Rows): number | null {
  const frauds = of.filter(({ label }) => label === 1);
  const others = of.filter(({ label }) => label === 0);
  if (frauds.length === 0 || others.length === 0) return null;
  let sum = 0;
  for (const fraud of frauds)
    for (const other of others) sum += fraud.score > other.score ? 1 : fraud.score === other.score ? 0.5 : 0;
  return sum / (frauds.length * others.length);
}

describe('how well scores tell fraud from the rest', () => {
  it('is what the definitions say, equal scores included', () => {
    fc.assert(
      fc.property(rows, (of) => {
        const ap = averagePrecision(scoresOf(of), labelsOf(of));
        const auc = rocAuc(scoresOf(of), labelsOf(of));
        const [naiveAp, naive] = [naivePrecision(of), naiveAuc(of)];
        if (naiveAp === null) expect(ap).toBeNull();
        else expect(ap).toBeCloseTo(naiveAp, 12);
        if (naive === null) expect(auc).toBeNull();
        else expect(auc).toBeCloseTo(naive, 12);
      }),
    );
  });

  it('has the values of scikit-learn 1.9 on rows that were written down', () => {
    const labels = Uint8Array.from([0, 0, 1, 1, 0, 1, 0, 0, 1, 0]);
    const scores = Float64Array.from([0.1, 0.4, 0.35, 0.8, 0.4, 0.4, 0.2, 0.9, 0.7, 0.05]);
    expect(averagePrecision(scores, labels)).toBeCloseTo(0.5595238095238095, 14);
    expect(rocAuc(scores, labels)).toBeCloseTo(0.7083333333333334, 14);
  });

  it('counts a row twice as it would count two rows', () => {
    fc.assert(
      fc.property(rows, fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 40, maxLength: 40 }), (of, counts) => {
        const doubled = of.flatMap((row, at) => Array.from({ length: counts[at] ?? 0 }, () => row));
        const weighted = qualityOf(rankingOf(scoresOf(of)), labelsOf(of), Float64Array.from(counts));
        const plain = qualityOf(rankingOf(scoresOf(doubled)), labelsOf(doubled));
        if (plain.averagePrecision === null) expect(weighted.averagePrecision).toBeNull();
        else expect(weighted.averagePrecision).toBeCloseTo(plain.averagePrecision, 12);
        if (plain.rocAuc === null) expect(weighted.rocAuc).toBeNull();
        else expect(weighted.rocAuc).toBeCloseTo(plain.rocAuc, 12);
      }),
    );
  });

  it('refuses a score that is none', () => {
    expect(() => rankingOf(Float64Array.from([1, Number.NaN]))).toThrow(/LEARNING_ROWS_INVALID/);
  });
});

describe('thresholds', () => {
  const of = [
    { score: 9, label: 1 },
    { score: 8, label: 0 },
    { score: 8, label: 1 },
    { score: 1, label: 0 },
    { score: 0, label: 1 },
  ];

  it('give alerts, precision and recall, one for each score that occurs', () => {
    expect(thresholdCurve(scoresOf(of), labelsOf(of))).toEqual([
      { threshold: 9, alerts: 1, caught: 1, precision: 1, recall: 1 / 3 },
      { threshold: 8, alerts: 3, caught: 2, precision: 2 / 3, recall: 2 / 3 },
      { threshold: 1, alerts: 4, caught: 2, precision: 0.5, recall: 2 / 3 },
      { threshold: 0, alerts: 5, caught: 3, precision: 0.6, recall: 1 },
    ]);
    expect(thresholdCurve(scoresOf(of), labelsOf(of), 2).map(({ alerts }) => alerts)).toEqual([1, 4, 5]);
    expect(recallAt(rankingOf(scoresOf(of)), labelsOf(of), [0, 0.2, 0.6, 1])).toEqual([0, 1 / 3, 2 / 3, 1]);
  });

  it('cost what is missed and what is looked at', () => {
    const amounts = Float64Array.from([100, 5, 30, 5, 10]);
    const { points, cheapest } = costCurve(scoresOf(of), labelsOf(of), amounts, 8);
    expect(points.map(({ cost }) => cost)).toEqual([140, 48, 34, 42, 40]);
    expect(cheapest).toEqual({ threshold: 8, alerts: 3, missed: 10, cost: 34 });
    // Dear alerts: better none at all.
    expect(costCurve(scoresOf(of), labelsOf(of), amounts, 1_000).cheapest.threshold).toBeNull();
  });
});

describe('card precision', () => {
  it('takes a card once a day by its highest score, and leaves a card out once it was found', () => {
    const days = Int32Array.from([0, 0, 0, 0, 1, 1, 1]);
    const cards = Int32Array.from([7, 7, 8, 9, 7, 8, 9]);
    const scores = Float64Array.from([0.9, 0.1, 0.5, 0.2, 0.9, 0.8, 0.1]);
    const labels = Uint8Array.from([0, 1, 0, 1, 1, 0, 1]);
    // Day 0: 7 (fraud at its other payment) and 8; day 1: 7 is blocked, so 8 and 9.
    expect(cardPrecisionAt(2, scores, labels, cards, days)).toBe((1 / 2 + 1 / 2) / 2);
    expect(cardPrecisionAt(1, scores, labels, cards, days)).toBe((1 + 0) / 2);
    expect(cardPrecisionAt(10, scores, labels, cards, days)).toBe((2 / 10 + 0 / 10) / 2);
  });
});

describe('probabilities', () => {
  it('lose least where they are the truth, and a certain error is dear but finite', () => {
    const labels = Uint8Array.from([1, 0]);
    expect(brier(Float64Array.from([1, 0]), labels)).toBe(0);
    expect(brier(Float64Array.from([0, 1]), labels)).toBe(1);
    expect(logLoss(Float64Array.from([0.5, 0.5]), labels)).toBeCloseTo(Math.LN2, 12);
    expect(logLoss(Float64Array.from([0, 0]), labels)).toBeCloseTo(18.02, 1);
    expect([...probabilitiesOf(Float64Array.from([0, -1000, 1000]))]).toEqual([0.5, expect.closeTo(0), 1]);
  });

  it('are judged slice by slice', () => {
    const found = sliceQualities(['a', 'b', 'a', 'a'], Float64Array.from([1, 0, -1, 2]), Uint8Array.from([1, 0, 0, 0]));
    expect(found.map(({ slice, rows: size, frauds, rocAuc: auc }) => [slice, size, frauds, auc])).toEqual([
      ['a', 3, 1, 0.5],
      ['b', 1, 0, null],
    ]);
  });
});

describe('a weight', () => {
  it('is as good as the row so many times, in every figure', () => {
    const weighted = fc.array(
      fc.record({
        score: fc.integer({ min: -5, max: 5 }),
        label: fc.integer({ min: 0, max: 1 }),
        weight: fc.integer({ min: 1, max: 4 }),
      }),
      { minLength: 4, maxLength: 30 },
    );
    fc.assert(
      fc.property(weighted, fc.double({ min: 0, max: 1, noNaN: true }), (drawn, share) => {
        const of = [...drawn, { score: 1, label: 1, weight: 2 }, { score: 0, label: 0, weight: 3 }];
        const many = of.flatMap((row) => Array.from({ length: row.weight }, () => row));
        const weights = Float64Array.from(of, ({ weight }) => weight);
        const [scores, labels, manyScores, manyLabels] = [scoresOf(of), labelsOf(of), scoresOf(many), labelsOf(many)];
        const near = (one: unknown, other: unknown): void => {
          const [a, b] = [one, other].map(
            (each) =>
              JSON.parse(JSON.stringify(each), (_, value: unknown) =>
                typeof value === 'number' ? Number(value.toPrecision(9)) : value,
              ) as unknown,
          );
          expect(a).toEqual(b);
        };
        near(
          looked(rankingOf(scores), labels, share, weights).caught,
          looked(rankingOf(manyScores), manyLabels, share).caught,
        );
        near(thresholdCurve(scores, labels, 1e9, weights), thresholdCurve(manyScores, manyLabels, 1e9));
        const amounts = (rows: Rows): Float64Array => Float64Array.from(rows, ({ score }) => 10 + score);
        near(
          costCurve(scores, labels, amounts(of), 3, 1e9, weights),
          costCurve(manyScores, manyLabels, amounts(many), 3, 1e9),
        );
        const [p, manyP] = [probabilitiesOf(scores), probabilitiesOf(manyScores)];
        near(logLoss(p, labels, weights), logLoss(manyP, manyLabels));
        near(brier(p, labels, weights), brier(manyP, manyLabels));
        near(reliabilityOf(scores, labels, 4, weights), reliabilityOf(manyScores, manyLabels, 4));
        near(plattOf(scores, labels, weights), plattOf(manyScores, manyLabels));
        const figures = (of: ReturnType<typeof sliceQualities>) => of.map(({ rows: _, frauds: __, ...rest }) => rest);
        near(
          figures(
            sliceQualities(
              of.map(() => 'all'),
              scores,
              labels,
              weights,
            ),
          ),
          figures(
            sliceQualities(
              many.map(() => 'all'),
              manyScores,
              manyLabels,
            ),
          ),
        );
      }),
      { numRuns: 50 },
    );
  });
});
