import { describe, expect, it } from '@jest/globals';
import { scoreOf } from '../model/score.js';
import { trainTrees } from './gradient-boosting.js';
import { gainImportance, permutationImportance } from './importance.js';
import { DEFAULT_LOGISTIC, trainLogistic } from './logistic.js';
import { splitByTime } from './matrix.js';
import { DEFAULT_TREES } from './tree-settings.js';
import { plantedRows, shuffled } from './worlds.kit.js';

const rows = plantedRows(3_000, 31);
const around = { ...DEFAULT_TREES, rounds: 20, bags: 1 };

describe('importance', () => {
  const { train, later } = splitByTime(rows, 0.4);

  it('finds the column that says something before the one that says nothing', () => {
    const { model, gain } = trainTrees(train, around);
    expect(gainImportance(rows.names, gain)[0]?.name).toBe('signal');
    expect(gainImportance(rows.names, gain).reduce((sum, { value }) => sum + value, 0)).toBeCloseTo(1, 12);
    const found = permutationImportance(model, later, 1);
    expect(found[0]?.name).toBe('signal');
    expect(found[0]?.value).toBeGreaterThan(0.1);
    expect(Math.abs(found.find(({ name }) => name === 'noise')?.value ?? 1)).toBeLessThan(0.03);
    expect(permutationImportance(model, later, 1)).toEqual(found);
    // Shuffled labels: no column is of any worth.
    const nothing = permutationImportance(model, { ...later, labels: shuffled(later.labels, 2) }, 1);
    expect(nothing.every(({ value }) => Math.abs(value) < 0.05)).toBe(true);
  });

  it('is nothing for a column that a model does not read', () => {
    const linear = trainLogistic(train, DEFAULT_LOGISTIC);
    const deaf = {
      ...linear,
      inputs: linear.inputs.map((input) => (input.name === 'trend' ? { ...input, weight: 0 } : input)),
    };
    expect(permutationImportance(deaf, later, 1).find(({ name }) => name === 'trend')?.value).toBe(0);
    expect(scoreOf({ model: deaf }, [1, 0, 1]).logOdds).toBe(scoreOf({ model: deaf }, [1, 9, 1]).logOdds);
  });
});
