/** The inner loops of growing trees: plain functions over typed arrays, without calls or allocation in them. */

/** Twice what a node wins by saying `value`: for the best value without bounds this is g² / h. */
function said(g: number, h: number, value: number): number {
  return -(2 * g * value + h * value * value);
}

/** What is known of a node while its columns are scanned. */
export interface Asked {
  g: number;
  h: number;
  /** Between which its children may say something. */
  low: number;
  high: number;
  value: number;
  /** The least curvature of a child; the penalty on its square. */
  least: number;
  /** The least number of rows of a child, and the rows of the node. */
  leastRows: number;
  rows: number;
  /** Where the numbers of rows begin in a histogram: of each slot at half its place. They are there where a child must have more than one. */
  countsFrom: number;
  penalty: number;
  /** Of the column: how it is constrained. */
  sign: number;
}

export interface Found {
  gain: number;
  column: number;
  slot: number;
  /** Sums of the left side. */
  g: number;
  h: number;
  missingLeft: boolean;
}

/** All cuts of a column, with what is missing on the right or on the left. Where nothing is missing here, it will go with the heavier side. */
export function scan(
  { g, h, least, leastRows, rows, countsFrom, penalty }: Asked,
  found: Found,
  histogram: Float64Array,
  column: number,
  first: number,
  missing: number,
  missingLeft: boolean,
): void {
  const own = (g * g) / (h + penalty);
  const noneMissing = (histogram[missing + 1] ?? 0) === 0;
  let leftG = missingLeft ? (histogram[missing] ?? 0) : 0;
  let leftH = missingLeft ? (histogram[missing + 1] ?? 0) : 0;
  const countsRows = leastRows > 1;
  let leftRows = missingLeft && countsRows ? (histogram[countsFrom + (missing >> 1)] ?? 0) : 0;
  for (let slot = first; slot < missing - 2; slot += 2) {
    const binH = histogram[slot + 1] ?? 0;
    if (binH === 0) continue;
    leftG += histogram[slot] ?? 0;
    leftH += binH;
    if (countsRows) leftRows += histogram[countsFrom + (slot >> 1)] ?? 0;
    const rightH = h - leftH;
    if (leftH < least) continue;
    if (rightH < least || rightH <= 0) break;
    if (countsRows && leftRows < leastRows) continue;
    if (countsRows && rows - leftRows < leastRows) break;
    const rightG = g - leftG;
    const gain = ((leftG * leftG) / (leftH + penalty) + (rightG * rightG) / (rightH + penalty) - own) / 2;
    if (gain <= found.gain) continue;
    found.gain = gain;
    found.column = column;
    found.slot = slot;
    found.g = leftG;
    found.h = leftH;
    found.missingLeft = missingLeft || (noneMissing && leftH >= rightH);
  }
}

/** The same within the bounds that constrained columns have set above this node. */
export function scanBounded(
  { g, h, low, high, value, least, leastRows, rows, countsFrom, penalty, sign }: Asked,
  found: Found,
  histogram: Float64Array,
  column: number,
  first: number,
  missing: number,
  missingLeft: boolean,
): void {
  const own = said(g, h + penalty, value);
  const noneMissing = (histogram[missing + 1] ?? 0) === 0;
  let leftG = missingLeft ? (histogram[missing] ?? 0) : 0;
  let leftH = missingLeft ? (histogram[missing + 1] ?? 0) : 0;
  const countsRows = leastRows > 1;
  let leftRows = missingLeft && countsRows ? (histogram[countsFrom + (missing >> 1)] ?? 0) : 0;
  for (let slot = first; slot < missing - 2; slot += 2) {
    const binH = histogram[slot + 1] ?? 0;
    if (binH === 0) continue;
    leftG += histogram[slot] ?? 0;
    leftH += binH;
    if (countsRows) leftRows += histogram[countsFrom + (slot >> 1)] ?? 0;
    const rightH = h - leftH;
    if (leftH < least) continue;
    if (rightH < least || rightH <= 0) break;
    if (countsRows && leftRows < leastRows) continue;
    if (countsRows && rows - leftRows < leastRows) break;
    const rightG = g - leftG;
    const leftValue = Math.max(low, Math.min(high, -leftG / (leftH + penalty)));
    const rightValue = Math.max(low, Math.min(high, -rightG / (rightH + penalty)));
    if (sign * (rightValue - leftValue) < 0) continue;
    const gain = (said(leftG, leftH + penalty, leftValue) + said(rightG, rightH + penalty, rightValue) - own) / 2;
    if (gain <= found.gain) continue;
    found.gain = gain;
    found.column = column;
    found.slot = slot;
    found.g = leftG;
    found.h = leftH;
    found.missingLeft = missingLeft || (noneMissing && leftH >= rightH);
  }
}

export function subtract(from: Float64Array, what: Float64Array): void {
  for (let at = 0; at < from.length; at += 1) from[at] = (from[at] ?? 0) - (what[at] ?? 0);
}

/**
 * The inner loop of all training: no call, no allocation, one pass over the rows. Four columns a turn, which an engine does not do by itself: about
 * a fifth less time.
 */
export function fillWhole(
  histogram: Float64Array,
  slots: Uint16Array | Uint32Array,
  width: number,
  rows: Int32Array,
  pairs: Float64Array,
  start: number,
  end: number,
): void {
  for (let at = start; at < end; at += 1) {
    const row = rows[at] ?? 0;
    const g = pairs[2 * row] ?? 0;
    const h = pairs[2 * row + 1] ?? 0;
    let place = row * width;
    const last = place + width;
    for (; place + 3 < last; place += 4) {
      const first = slots[place] ?? 0;
      const second = slots[place + 1] ?? 0;
      const third = slots[place + 2] ?? 0;
      const fourth = slots[place + 3] ?? 0;
      histogram[first] = (histogram[first] ?? 0) + g;
      histogram[first + 1] = (histogram[first + 1] ?? 0) + h;
      histogram[second] = (histogram[second] ?? 0) + g;
      histogram[second + 1] = (histogram[second + 1] ?? 0) + h;
      histogram[third] = (histogram[third] ?? 0) + g;
      histogram[third + 1] = (histogram[third + 1] ?? 0) + h;
      histogram[fourth] = (histogram[fourth] ?? 0) + g;
      histogram[fourth + 1] = (histogram[fourth + 1] ?? 0) + h;
    }
    for (; place < last; place += 1) {
      const slot = slots[place] ?? 0;
      histogram[slot] = (histogram[slot] ?? 0) + g;
      histogram[slot + 1] = (histogram[slot + 1] ?? 0) + h;
    }
  }
}

/** The same for some of the columns. */
export function fillSome(
  histogram: Float64Array,
  slots: Uint16Array | Uint32Array,
  width: number,
  rows: Int32Array,
  pairs: Float64Array,
  start: number,
  end: number,
  columns: Int32Array,
): void {
  const count = columns.length;
  for (let at = start; at < end; at += 1) {
    const row = rows[at] ?? 0;
    const g = pairs[2 * row] ?? 0;
    const h = pairs[2 * row + 1] ?? 0;
    const from = row * width;
    for (let each = 0; each < count; each += 1) {
      const slot = slots[from + (columns[each] ?? 0)] ?? 0;
      histogram[slot] = (histogram[slot] ?? 0) + g;
      histogram[slot + 1] = (histogram[slot + 1] ?? 0) + h;
    }
  }
}

/** The same as `fillWhole`, and how many rows each slot has, from one place of the histogram on. */
export function fillWholeCounted(
  histogram: Float64Array,
  countsFrom: number,
  slots: Uint16Array | Uint32Array,
  width: number,
  rows: Int32Array,
  pairs: Float64Array,
  start: number,
  end: number,
): void {
  for (let at = start; at < end; at += 1) {
    const row = rows[at] ?? 0;
    const g = pairs[2 * row] ?? 0;
    const h = pairs[2 * row + 1] ?? 0;
    let place = row * width;
    const last = place + width;
    for (; place + 2 < last; place += 3) {
      const first = slots[place] ?? 0;
      const second = slots[place + 1] ?? 0;
      const third = slots[place + 2] ?? 0;
      histogram[first] = (histogram[first] ?? 0) + g;
      histogram[first + 1] = (histogram[first + 1] ?? 0) + h;
      const ofFirst = countsFrom + (first >> 1);
      histogram[ofFirst] = (histogram[ofFirst] ?? 0) + 1;
      histogram[second] = (histogram[second] ?? 0) + g;
      histogram[second + 1] = (histogram[second + 1] ?? 0) + h;
      const ofSecond = countsFrom + (second >> 1);
      histogram[ofSecond] = (histogram[ofSecond] ?? 0) + 1;
      histogram[third] = (histogram[third] ?? 0) + g;
      histogram[third + 1] = (histogram[third + 1] ?? 0) + h;
      const ofThird = countsFrom + (third >> 1);
      histogram[ofThird] = (histogram[ofThird] ?? 0) + 1;
    }
    for (; place < last; place += 1) {
      const slot = slots[place] ?? 0;
      const counted = countsFrom + (slot >> 1);
      histogram[slot] = (histogram[slot] ?? 0) + g;
      histogram[slot + 1] = (histogram[slot + 1] ?? 0) + h;
      histogram[counted] = (histogram[counted] ?? 0) + 1;
    }
  }
}

/** How many rows each slot of these columns has, where sums were filled for some of the columns. */
export function fillCounts(
  histogram: Float64Array,
  countsFrom: number,
  slots: Uint16Array | Uint32Array,
  width: number,
  rows: Int32Array,
  start: number,
  end: number,
  columns: Int32Array,
): void {
  const count = columns.length;
  for (let at = start; at < end; at += 1) {
    const from = (rows[at] ?? 0) * width;
    for (let each = 0; each < count; each += 1) {
      const place = countsFrom + ((slots[from + (columns[each] ?? 0)] ?? 0) >> 1);
      histogram[place] = (histogram[place] ?? 0) + 1;
    }
  }
}

/**
 * Without a branch on the data: which way a row goes is as hard to guess as the split is good, and a wrong guess costs more than a second write.
 * @param first where the column begins in `byColumn`  @param missing the place that also goes left; NOWHERE: none
 */
export function divide(
  rows: Int32Array,
  spare: Int32Array,
  byColumn: Uint16Array | Uint32Array,
  first: number,
  edge: number,
  missing: number,
  start: number,
  end: number,
): number {
  let [lefts, rights] = [start, 0];
  for (let at = start; at < end; at += 1) {
    const row = rows[at] ?? 0;
    const slot = byColumn[first + row] ?? 0;
    // The sign of a difference as 1 or 0: slot ≤ edge, or slot = missing.
    const goesLeft = ((slot - edge - 1) >>> 31) | (((slot ^ missing) - 1) >>> 31);
    rows[lefts] = row;
    spare[rights] = row;
    lefts += goesLeft;
    rights += 1 - goesLeft;
  }
  rows.set(spare.subarray(0, rights), lefts);
  return lefts;
}

/** A place that no bin has: bins begin at even places. */
export const NOWHERE = 1;
