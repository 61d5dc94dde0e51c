import { ln } from '../model/ln.js';
import { cutsOf } from './binning.js';
import { invalid } from './matrix.js';

/** How values were spread when a model was trained: what later values are held against. */
export interface Spread {
  /** Bin b holds cut[b − 1] ≤ x < cut[b]. */
  readonly cuts: readonly number[];
  /** Share of the rows in each bin; the last one is what was missing. */
  readonly shares: readonly number[];
}

/** A share of nothing would make the index infinite: it counts as this. */
const LEAST_SHARE = 1e-4;

/** @param bins of values, about equally full; fewer where there are fewer values */
export function spreadOf(values: Float64Array, bins = 10): Spread {
  if (values.length === 0) throw invalid('no values, no spread');
  const { cuts } = cutsOf({ names: ['x'], columns: [values], labels: new Uint8Array(values.length) }, bins);
  const own = [...(cuts[0] ?? [])];
  return { cuts: own, shares: sharesOf(own, values) };
}

/**
 * Population stability index: Σ (now − then) · ln(now / then) over the bins of the training. Usually read so: below 0.1 the same,
 * above 0.25 another population.
 */
export function stabilityIndex({ cuts, shares }: Spread, values: Float64Array): number {
  if (values.length === 0) throw invalid('no values, no spread');
  return sharesOf(cuts, values).reduce((sum, share, bin) => {
    const now = Math.max(share, LEAST_SHARE);
    const then = Math.max(shares[bin] ?? 0, LEAST_SHARE);
    return sum + (now - then) * ln(now / then);
  }, 0);
}

function sharesOf(cuts: readonly number[], values: Float64Array): readonly number[] {
  const counts = new Array<number>(cuts.length + 2).fill(0);
  for (const value of values) {
    let bin = 0;
    if (Number.isNaN(value)) bin = cuts.length + 1;
    else while (bin < cuts.length && value >= (cuts[bin] ?? 0)) bin += 1;
    counts[bin] = (counts[bin] ?? 0) + 1;
  }
  return counts.map((count) => count / values.length);
}
