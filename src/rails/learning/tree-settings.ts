import { ProbityError } from '../errors/probity-error.js';
import { MOST_BINS } from './binning.js';

export interface TreeSettings {
  readonly seed: number;
  readonly rounds: number;
  readonly learningRate: number;
  readonly maxDepth: number;
  readonly maxLeaves: number;
  /** The least Σ p(1 − p) on each side of a split: of rows that are almost surely no fraud many are needed. */
  readonly minChildWeight: number;
  /** The least number of rows on each side of a split, whatever they weigh: where it is more than one, a weight of 2 is not quite the row twice. */
  readonly minRowsPerLeaf: number;
  readonly l2: number;
  readonly minGain: number;
  /** Share of the rows that each tree sees. */
  readonly rowShare: number;
  /** Share of the columns that each tree may ask, and of these the share that is tried at each node. */
  readonly columnShare: number;
  readonly columnsPerNode: number;
  readonly maxBins: number;
  /** How much more a fraud counts than its weight says (`scale_pos_weight`). */
  readonly fraudWeight: number;
  /** So many models from seeds of their own, averaged into one: their log odds add up with 1 / bags of each leaf. */
  readonly bags: number;
  /** By name of column: 1 never falls as the input rises, −1 never rises. */
  readonly monotone: Readonly<Record<string, 1 | -1>>;
  /** Rounds without a better log loss on the later rows after which a bag ends; it keeps the rounds up to its best one. */
  readonly stopAfter: number;
}

/** Chosen on weeks of others' card payments on which nothing is reported; see docs/detection.md. */
export const DEFAULT_TREES: TreeSettings = {
  seed: 1,
  rounds: 150,
  learningRate: 0.05,
  maxDepth: 4,
  maxLeaves: 16,
  minChildWeight: 1,
  minRowsPerLeaf: 50,
  l2: 0.1,
  minGain: 0,
  rowShare: 1,
  columnShare: 1,
  columnsPerNode: 1,
  maxBins: MOST_BINS,
  fraudWeight: 1,
  bags: 1,
  monotone: {},
  stopAfter: 20,
};

interface Range {
  readonly from: number;
  readonly to: number;
  readonly whole?: true;
}

const RANGES: Readonly<Record<Exclude<keyof TreeSettings, 'monotone'>, Range>> = {
  seed: { from: 0, to: 2 ** 32 - 1, whole: true },
  rounds: { from: 1, to: 1_000, whole: true },
  learningRate: { from: 1e-4, to: 1 },
  maxDepth: { from: 1, to: 30, whole: true },
  maxLeaves: { from: 2, to: 2_048, whole: true },
  minChildWeight: { from: 0, to: 1e9 },
  minRowsPerLeaf: { from: 1, to: 1e9, whole: true },
  l2: { from: 0, to: 1e9 },
  minGain: { from: 0, to: 1e9 },
  rowShare: { from: 0.01, to: 1 },
  columnShare: { from: 0.01, to: 1 },
  columnsPerNode: { from: 0.01, to: 1 },
  maxBins: { from: 2, to: MOST_BINS, whole: true },
  fraudWeight: { from: 1e-3, to: 1e5 },
  bags: { from: 1, to: 100, whole: true },
  stopAfter: { from: 1, to: 1_000, whole: true },
};

/** A model has at most so many trees; the format says so. */
const MOST_TREES = 1_000;

export function checkTreeSettings(settings: TreeSettings, names: readonly string[]): void {
  for (const [name, { from, to, whole }] of Object.entries(RANGES)) {
    const value = settings[name as keyof typeof RANGES];
    if (!(value >= from && value <= to) || (whole === true && !Number.isInteger(value)))
      throw refused(`${name} is ${whole === true ? 'a whole number ' : ''}from ${from} to ${to}, not ${value}`);
  }
  if (settings.rounds * settings.bags > MOST_TREES)
    throw refused(`${settings.rounds} rounds of ${settings.bags} bags are more than ${MOST_TREES} trees`);
  for (const name of Object.keys(settings.monotone))
    if (!names.includes(name)) throw refused(`monotone names ${name}, which is no column`);
}

function refused(detail: string): ProbityError {
  return new ProbityError('LEARNING_SETTINGS_INVALID', detail);
}
