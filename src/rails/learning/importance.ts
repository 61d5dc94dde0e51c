import type { LinearModel, TreeModel } from '../model/bundle.schema.js';
import type { TrainingMatrix } from './matrix.js';
import { logOddsOf } from './predict.js';
import { SeededRandom } from './random.js';
import { qualityOf, rankingOf } from './ranking.js';

export interface Importance {
  readonly name: string;
  readonly value: number;
}

/** What the splits on each column gained, as shares of all gains, greatest first. It says what a model leans on, not what is true. */
export function gainImportance(names: readonly string[], gain: Float64Array): readonly Importance[] {
  const total = gain.reduce((sum, each) => sum + each, 0);
  return greatestFirst(names.map((name, at) => ({ name, value: total === 0 ? 0 : (gain[at] ?? 0) / total })));
}

/**
 * How much average precision is lost when a column's values are dealt anew among the rows, mean over `repeats`, greatest first. Asked of rows
 * that the model has not learnt from. Two columns that say the same cover for each other: both look as if they were not needed.
 */
export function permutationImportance(
  model: LinearModel | TreeModel,
  { names, columns, labels, weights }: TrainingMatrix,
  seed: number,
  repeats = 3,
): readonly Importance[] {
  const rows = labels.length;
  const precisionOf = (values: readonly Float64Array[]): number =>
    qualityOf(rankingOf(logOddsOf(model, values, rows)), labels, weights).averagePrecision ?? 0;
  const whole = precisionOf(columns);
  return greatestFirst(
    names.map((name, at) => {
      let lost = 0;
      for (let repeat = 0; repeat < repeats; repeat += 1) {
        const order = new SeededRandom(seed, at * repeats + repeat).order(rows);
        const dealt = columns.map((column, each) =>
          each === at ? Float64Array.from(order, (place) => column[place] ?? 0) : column,
        );
        lost += whole - precisionOf(dealt);
      }
      return { name, value: lost / repeats };
    }),
  );
}

function greatestFirst(found: readonly Importance[]): readonly Importance[] {
  return found.toSorted((a, b) => b.value - a.value || (a.name < b.name ? -1 : 1));
}
