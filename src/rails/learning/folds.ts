import { invalid, type TrainingMatrix } from './matrix.js';

/** A week of training, a gap in which its labels become known, a week that is judged: places of rows in a matrix. */
export interface Fold {
  readonly train: Int32Array;
  readonly test: Int32Array;
  /** The day of each test row, counted from the first day of training. */
  readonly days: Int32Array;
}

export interface FoldPlan {
  /** Midnight of the first day of training, in seconds since 1970. */
  readonly start: number;
  readonly trainDays: number;
  readonly gapDays: number;
  readonly testDays: number;
}

const DAY_S = 86_400;

/**
 * One fold as a platform with late labels lives it. From each day of the test the cards are removed of which fraud is known by then: those with a fraud in
 * the training days, and those with one on a later day that lies more than the gap before it. To find them again is no merit.
 */
export function foldOf({ labels, groups, seconds }: TrainingMatrix, plan: FoldPlan): Fold {
  if (groups === undefined || seconds === undefined) throw invalid('a fold wants the card and the time of each row');
  const { start, trainDays, gapDays, testDays } = plan;
  const firstTest = trainDays + gapDays;
  const train: number[] = [];
  const test: { readonly row: number; readonly day: number }[] = [];
  /** The first day on which a card had fraud. */
  const fraudDay = new Map<number, number>();
  for (let row = 0; row < labels.length; row += 1) {
    const day = Math.floor(((seconds[row] ?? 0) - start) / DAY_S);
    if (day < 0 || day >= firstTest + testDays) continue;
    if (day < trainDays) train.push(row);
    else if (day >= firstTest) test.push({ row, day });
    const card = groups[row] ?? 0;
    if (labels[row] === 1) fraudDay.set(card, Math.min(day, fraudDay.get(card) ?? day));
  }
  const unknown = test.filter(({ row, day }) => {
    const known = fraudDay.get(groups[row] ?? 0);
    return known === undefined || (known >= trainDays && known > day - gapDays - 1);
  });
  return {
    train: Int32Array.from(train),
    test: Int32Array.from(unknown, ({ row }) => row),
    days: Int32Array.from(unknown, ({ day }) => day),
  };
}
