import { ProbityError } from '../errors/probity-error.js';

/** What a learner sees: a column per input, and of each row what became known of it. All arrays have one entry per row. */
export interface TrainingMatrix {
  /** One for each column, in the order of the model's inputs. */
  readonly names: readonly string[];
  /** NaN is missing; nothing is infinite. */
  readonly columns: readonly Float64Array[];
  /** 1 is fraud, 0 is not. */
  readonly labels: Uint8Array;
  /** How often a row counts; 1 where it is not said. A weight of 2 is the same as the row twice. */
  readonly weights?: Float64Array;
  /** To which card, account or terminal a row belongs: a number for each of them. */
  readonly groups?: Int32Array;
  /** When it happened, in whole seconds since 1970. */
  readonly seconds?: Float64Array;
}

/** Refuses what no learner can work with. */
export function checkMatrix(matrix: TrainingMatrix): void {
  const { names, columns, labels, weights, groups, seconds } = matrix;
  const rows = labels.length;
  if (names.length !== columns.length || columns.length === 0)
    throw invalid(`${names.length} names for ${columns.length} columns`);
  columns.forEach((column, at) => {
    if (column.length !== rows) throw invalid(`column ${names[at] ?? at} has ${column.length} values for ${rows} rows`);
    if (column.some((value) => value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY))
      throw invalid(`column ${names[at] ?? at} holds an infinite value`);
  });
  for (const [what, array] of Object.entries({ weights, groups, seconds }))
    if (array !== undefined && array.length !== rows) throw invalid(`${array.length} ${what} for ${rows} rows`);
  if (weights?.some((weight) => !(weight >= 0 && weight <= 1e6)) === true)
    throw invalid('a weight is from 0 to 1,000,000');
  if (labels.some((label) => label > 1)) throw invalid('a label is 0 or 1');
}

/** As `checkMatrix`, and there must be rows of both kinds that count. */
export function checkLearnable(matrix: TrainingMatrix): void {
  checkMatrix(matrix);
  const { labels, weights } = matrix;
  const kinds = [0, 0];
  labels.forEach((label, at) => {
    if ((weights?.[at] ?? 1) > 0) kinds[label] = (kinds[label] ?? 0) + 1;
  });
  if (kinds.includes(0)) throw invalid(`${kinds[1] ?? 0} frauds and ${kinds[0] ?? 0} others: both are needed`);
}

/** The rows at these places, in this order; a place may stand there more than once. */
export function rowsOf(matrix: TrainingMatrix, places: ArrayLike<number>): TrainingMatrix {
  const { names, columns, labels, weights, groups, seconds } = matrix;
  const taken = <A extends Float64Array | Int32Array | Uint8Array>(from: A, into: A): A => {
    for (let at = 0; at < places.length; at += 1) into[at] = from[places[at] ?? 0] ?? 0;
    return into;
  };
  const size = places.length;
  return {
    names,
    columns: columns.map((column) => taken(column, new Float64Array(size))),
    labels: taken(labels, new Uint8Array(size)),
    ...(weights === undefined ? {} : { weights: taken(weights, new Float64Array(size)) }),
    ...(groups === undefined ? {} : { groups: taken(groups, new Int32Array(size)) }),
    ...(seconds === undefined ? {} : { seconds: taken(seconds, new Float64Array(size)) }),
  };
}

/** The rows of the one, then those of the other, which has the same columns. Where one of them has weights, a row without one counts once. */
export function joined(one: TrainingMatrix, other: TrainingMatrix): TrainingMatrix {
  if (one.names.join('\n') !== other.names.join('\n')) throw invalid('rows that are joined have the same columns');
  const size = one.labels.length + other.labels.length;
  const both = <A extends Float64Array | Int32Array | Uint8Array>(first: A, second: A | undefined, into: A): A => {
    if (second === undefined) throw invalid('rows that are joined say the same of each row');
    into.set(first);
    into.set(second, first.length);
    return into;
  };
  const ones = ({ labels, weights }: TrainingMatrix): Float64Array =>
    weights ?? new Float64Array(labels.length).fill(1);
  const isWeighted = one.weights !== undefined || other.weights !== undefined;
  return {
    names: one.names,
    columns: one.columns.map((column, at) => both(column, other.columns[at], new Float64Array(size))),
    labels: both(one.labels, other.labels, new Uint8Array(size)),
    ...(isWeighted ? { weights: both(ones(one), ones(other), new Float64Array(size)) } : {}),
    ...(one.groups === undefined ? {} : { groups: both(one.groups, other.groups, new Int32Array(size)) }),
    ...(one.seconds === undefined ? {} : { seconds: both(one.seconds, other.seconds, new Float64Array(size)) }),
  };
}

/** Splits by time: the last `share` of the rows is held out, and no row of it is older than any of the others. */
export function splitByTime(
  matrix: TrainingMatrix,
  share: number,
): { readonly train: TrainingMatrix; readonly later: TrainingMatrix } {
  const { seconds } = matrix;
  if (seconds === undefined) throw invalid('a split by time wants the time of each row');
  const order = Int32Array.from(seconds.keys()).sort((a, b) => (seconds[a] ?? 0) - (seconds[b] ?? 0) || a - b);
  let cut = Math.round((1 - share) * order.length);
  // Rows of one second stay on one side.
  while (cut > 0 && cut < order.length && seconds[order[cut] ?? 0] === seconds[order[cut - 1] ?? 0]) cut -= 1;
  if (cut <= 0 || cut >= order.length)
    throw invalid(`of ${order.length} rows none is left on one side of a split by time`);
  return { train: rowsOf(matrix, order.subarray(0, cut)), later: rowsOf(matrix, order.subarray(cut)) };
}

export function invalid(detail: string): ProbityError {
  return new ProbityError('LEARNING_ROWS_INVALID', detail);
}
