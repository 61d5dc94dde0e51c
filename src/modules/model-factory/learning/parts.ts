import { ProbityError } from '../../../rails/errors/probity-error.js';
import type { RowKeys } from './dataset-file.js';
import type { FactoryPolicy } from './gate-policy.schema.js';

/** Rows of one dataset that belong to one part, by their places in the file, in order of time. */
export interface Part {
  readonly dataset: number;
  readonly places: Int32Array;
}

export interface Parts {
  /** What is learnt from; null where a model is only judged and no dataset of training is at hand. */
  readonly train: Part | null;
  /** After it in time: when to stop, which trial is best, how to calibrate. */
  readonly later: Part | null;
  /** After both: what is judged on. */
  readonly eval: Part;
  /** In words, for whoever reads the report. */
  readonly rule: string;
  /** Of each dataset, rows that are in no part, by reason. */
  readonly leftOut: readonly Readonly<Record<string, number>>[];
}

/** A dataset's keys with the part that it plays. */
export interface RoledKeys {
  readonly role: 'train' | 'eval';
  readonly keys: RowKeys;
}

const HOUR_MICROS = 3_600e6;

/**
 * Gives rows to parts by time alone. Rows whose truth is not known, and those without features, teach nothing and judge nothing; they are counted.
 *
 * @throws MF_LEAKAGE_GUARD_VIOLATION where a row that is judged on is not later than every row before it by the gap, MF_TRAINING_ROWS_INSUFFICIENT
 */
export function partsOf(
  datasets: readonly RoledKeys[],
  laterSharePpm: number,
  kind: 'train' | 'evaluate',
  { leakage, evidence }: Pick<FactoryPolicy, 'leakage' | 'evidence'>,
): Parts {
  const leftOut = datasets.map((): Record<string, number> => ({}));
  const usable = (dataset: number, split: string | null): Part => {
    const { keys } = datasets[dataset] ?? missing(`dataset ${dataset}`);
    return { dataset, places: usablePlaces(keys, split, leftOut[dataset] ?? {}) };
  };
  const at = (role: 'train' | 'eval'): number => datasets.findIndex((each) => each.role === role);
  const [train, judged] = [at('train'), at('eval')];
  let parts: Omit<Parts, 'leftOut'>;
  if (train < 0) {
    if (kind === 'train') missing('a dataset of the role train');
    parts = { train: null, later: null, eval: usable(judged, null), rule: 'all rows of the dataset are judged on' };
  } else if (judged >= 0) {
    const divided = byTime(usable(train, null), datasets[train]?.keys, laterSharePpm);
    const rule = `all rows of one dataset are learnt from, the last ${percent(laterSharePpm)} of them by time held back, and all of the other judged on`;
    parts = { ...divided, eval: usable(judged, null), rule };
  } else {
    const split = (name: string): Part => usable(train, name);
    const validation = split('validation');
    const learnt = split('train');
    const divided =
      validation.places.length > 0
        ? { train: learnt, later: validation }
        : byTime(learnt, datasets[train]?.keys, laterSharePpm);
    const held =
      validation.places.length > 0
        ? 'the split validation is held back'
        : `the last ${percent(laterSharePpm)} of the split train by time are held back`;
    parts = {
      ...divided,
      eval: split('test'),
      rule: `the split train is learnt from, ${held}, and the split test judged on`,
    };
    countOthers(datasets[train]?.keys, leftOut[train] ?? {});
  }
  const keysOf = ({ dataset }: Part): RowKeys => datasets[dataset]?.keys ?? missing('keys');
  if (parts.train !== null && parts.later !== null) {
    demandLater([parts.train], parts.later, 0, keysOf);
    demandLater([parts.train, parts.later], parts.eval, leakage.gap_hours_min * HOUR_MICROS, keysOf);
  }
  if (kind === 'train' && parts.train !== null && parts.later !== null) {
    const [rows, frauds] = [parts.train.places.length, fraudsOf(parts.train, keysOf(parts.train))];
    if (rows < evidence.train_rows_min || frauds < evidence.train_frauds_min)
      throw insufficient(
        `${rows} rows with ${frauds} frauds can be learnt from, and ${evidence.train_rows_min} with ${evidence.train_frauds_min} are wanted`,
      );
    demandBoth(parts.train, keysOf, 'learnt from');
    demandBoth(parts.later, keysOf, 'held back');
  }
  demandBoth(parts.eval, keysOf, 'judged on');
  return { ...parts, leftOut };
}

/** Places of a split (null: of the whole file) whose truth and features are known, in order of time. */
function usablePlaces(keys: RowKeys, split: string | null, leftOut: Record<string, number>): Int32Array {
  const code = split === null ? null : keys.split.names.indexOf(split);
  const places: number[] = [];
  for (let row = 0; row < keys.rows; row += 1) {
    if (code !== null && (keys.split.codes[row] !== code || code < 0)) continue;
    const why =
      keys.isFraud[row] === -1 ? 'TRUTH_NOT_KNOWN' : keys.hasFeatures[row] === 0 ? 'NO_FEATURES_SERVED' : null;
    if (why === null) places.push(row);
    else leftOut[why] = (leftOut[why] ?? 0) + 1;
  }
  return inOrder(places, keys);
}

/** Rows of no split. */
function countOthers(keys: RowKeys | undefined, leftOut: Record<string, number>): void {
  const others = keys?.split.codes.reduce((sum, code) => sum + (code === -1 ? 1 : 0), 0) ?? 0;
  if (others > 0) leftOut['IN_NO_SPLIT'] = others;
}

function inOrder(places: ArrayLike<number>, { micros }: RowKeys): Int32Array {
  return Int32Array.from(places).sort((a, b) => (micros[a] ?? 0) - (micros[b] ?? 0) || a - b);
}

/** The last share is held back; rows of one moment stay on one side. */
function byTime({ dataset, places }: Part, keys: RowKeys | undefined, ppm: number): { train: Part; later: Part } {
  const micros = keys?.micros ?? new Float64Array(0);
  let cut = Math.round(((1_000_000 - ppm) / 1_000_000) * places.length);
  while (cut > 0 && cut < places.length && micros[places[cut] ?? 0] === micros[places[cut - 1] ?? 0]) cut -= 1;
  return {
    train: { dataset, places: places.subarray(0, cut) },
    later: { dataset, places: places.subarray(cut) },
  };
}

/** What lies between `before` and `after` in time is at least the gap. Equal times are not later. */
function demandLater(before: readonly Part[], after: Part, gap: number, keysOf: (part: Part) => RowKeys): void {
  const first = timeAt(after, 0, keysOf);
  for (const part of before) {
    const last = timeAt(part, part.places.length - 1, keysOf);
    if (first === undefined || last === undefined) continue;
    if (first - last < gap || first <= last)
      throw new ProbityError(
        'MF_LEAKAGE_GUARD_VIOLATION',
        'a row that is judged on or held back is not later than every row that is learnt from, by the gap of the policy',
      );
  }
}

/** When the row at this place of a part happened; undefined where it has no such place. */
export function timeAt(part: Part, at: number, keysOf: (part: Part) => RowKeys | undefined): number | undefined {
  const place = part.places[at];
  return place === undefined ? undefined : keysOf(part)?.micros[place];
}

export function fraudsOf({ places }: Part, { isFraud }: RowKeys): number {
  return places.reduce((sum, row) => sum + (isFraud[row] === 1 ? 1 : 0), 0);
}

function demandBoth(part: Part, keysOf: (part: Part) => RowKeys, what: string): void {
  const frauds = fraudsOf(part, keysOf(part));
  if (frauds === 0 || frauds === part.places.length)
    throw insufficient(
      `of the ${part.places.length} rows that are ${what}, ${frauds} are fraud: rows of both kinds are wanted`,
    );
}

function percent(ppm: number): string {
  return `${ppm / 10_000} %`;
}

function missing(what: string): never {
  throw new ProbityError('MF_SCHEMA_INCOMPATIBLE_WITH_RECIPE', `${what} is missing`);
}

function insufficient(detail: string): ProbityError {
  return new ProbityError('MF_TRAINING_ROWS_INSUFFICIENT', detail);
}
