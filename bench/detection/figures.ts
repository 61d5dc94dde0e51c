import { rankingOf } from '../../src/rails/learning/ranking.js';

/** Average precision, area under the ROC curve, card precision at 100, then the share of the frauds of kinds 1, 2 and 3 in the highest 1 %. */
export type Figures = readonly number[];

export function meanOf(all: readonly Figures[]): Figures {
  return Array.from({ length: 6 }, (_, at) => all.reduce((sum, figures) => sum + (figures[at] ?? 0), 0) / all.length);
}

/** The first three. */
export function shown(figures: Figures | undefined): string {
  return figures === undefined
    ? '–'
    : figures
        .slice(0, 3)
        .map((figure) => figure.toFixed(3))
        .join(' / ');
}

/** Among the highest 1 %: the share of the frauds of kinds 1, 2 and 3. */
export function recallByKind(scores: Float64Array, kinds: Uint8Array): readonly number[] {
  const { order } = rankingOf(scores);
  const looked = order.subarray(0, Math.round(0.01 * order.length));
  return [1, 2, 3].map((kind) => {
    const all = kinds.filter((each) => each === kind).length;
    return looked.filter((row) => kinds[row] === kind).length / Math.max(1, all);
  });
}
