import { ProbityError } from '../../../rails/errors/probity-error.js';
import { Frames, type Frame, type TakeFrame } from './frames.js';
import { RunCursor, type Run } from './run-cursor.js';
import { ScratchFile } from './scratch.js';

export interface RowRunsOptions {
  /** Bytes of a sort key: 27 of a time, 16 of a row number. Keys are ASCII and compared as texts. */
  readonly keyBytes: number;
  /** Rows that are held in memory before they go to the temporary file. */
  readonly pageBytes?: number;
  /** Runs that are merged at a time: each takes a buffer of its own. */
  readonly fanIn?: number;
  readonly openScratch?: () => Promise<ScratchFile>;
}

/** 4 MiB hold some 15,000 rows: a sort of so many takes 10 ms, and a world of ten million rows has 650 runs. */
const PAGE_BYTES = 4 * 1024 * 1024;

/** 32 buffers of 64 KiB are 2 MiB, and two passes are enough for 1,024 runs, four gigabytes of rows in any order. */
const FAN_IN = 32;

/**
 * Rows in any order in, rows in the order of (sort key, arrival) out, in memory that does not grow with their number.
 *
 * Rows are gathered into a page. A full page is put in order and appended to a temporary file as a run; where it begins
 * not before the run before it ends, it is the same run going on. Rows that come in order are therefore one run whatever
 * their number, are never compared with more than their neighbour, and are read back as they were written. Few rows stay in
 * the first page and see no disk. At the end the runs are merged; where keys are equal the earlier run comes first, which is
 * the order of arrival.
 */
export class RowRuns {
  readonly #options: Required<RowRunsOptions>;
  #page: Frames | undefined;
  #runs: Run[] = [];
  #lastKey = '';
  #scratch: ScratchFile | undefined;
  #rows = 0;

  constructor({ keyBytes, pageBytes = PAGE_BYTES, fanIn = FAN_IN, openScratch }: RowRunsOptions) {
    this.#options = { keyBytes, pageBytes, fanIn, openScratch: openScratch ?? (() => ScratchFile.open()) };
  }

  get rows(): number {
    return this.#rows;
  }

  /** False when the page has no room for the row: `flush`, then add it again. */
  tryAdd(key: string, head: string, tail: string): boolean {
    this.#page ??= new Frames(this.#options.pageBytes, this.#options.keyBytes);
    if (!this.#page.add(key, head, tail)) {
      if (this.#page.rows === 0) {
        throw new ProbityError('ENGINE_SOURCE_UNREADABLE', 'a row is larger than a page of the sealing');
      }
      return false;
    }
    this.#rows += 1;
    return true;
  }

  async flush(): Promise<void> {
    const page = this.#page;
    if (page === undefined || page.rows === 0) return;
    this.#scratch ??= await this.#options.openScratch();
    const scratch = this.#scratch;
    const start = scratch.bytes;
    await scratch.append(page.sorted());
    const last = this.#runs.at(-1);
    if (last !== undefined && this.#lastKey <= page.firstKey) last.end = scratch.bytes;
    else this.#runs.push({ start, end: scratch.bytes });
    this.#lastKey = page.lastKey;
    page.clear();
  }

  /** Hands over every row in order, and waits where the taker says so. Call it once, after the last row. */
  async drain(take: TakeFrame): Promise<void> {
    if (this.#scratch === undefined) {
      await this.#page?.each(take);
      return;
    }
    await this.flush();
    this.#page = undefined;
    while (this.#runs.length > this.#options.fanIn) await this.#mergeOnce();
    await this.#merge(this.#scratch, this.#runs, take);
  }

  /** Gives the temporary file back; also after a failure. */
  async close(): Promise<void> {
    this.#page = undefined;
    const scratch = this.#scratch;
    this.#scratch = undefined;
    await scratch?.close();
  }

  /** One pass: neighbouring runs become one, so that the order of arrival stays the order of the runs. */
  async #mergeOnce(): Promise<void> {
    const before = this.#scratch;
    if (before === undefined) return;
    const after = await this.#options.openScratch();
    this.#scratch = after;
    try {
      const merged: Run[] = [];
      for (let at = 0; at < this.#runs.length; at += this.#options.fanIn) {
        const start = after.bytes;
        const page = new Frames(this.#options.pageBytes, this.#options.keyBytes);
        await this.#merge(before, this.#runs.slice(at, at + this.#options.fanIn), (frame) => {
          if (page.copy(frame)) return undefined;
          return after.append(page.bytes()).then(() => {
            page.clear();
            page.copy(frame);
          });
        });
        await after.append(page.bytes());
        merged.push({ start, end: after.bytes });
      }
      this.#runs = merged;
    } finally {
      await before.close();
    }
  }

  async #merge(scratch: ScratchFile, runs: readonly Run[], take: TakeFrame): Promise<void> {
    const cursors = runs.map((run) => new RunCursor(scratch, run, this.#options.keyBytes));
    const waiting: RunCursor[] = [];
    for (const cursor of cursors) if (await cursor.advance()) waiting.push(cursor);
    // A heap by (key, number of the run). The cursors come in the order of the runs, which decides between equal keys.
    const order = new Map(cursors.map((cursor, index) => [cursor, index]));
    const before = (a: RunCursor, b: RunCursor): boolean =>
      a.frame.key < b.frame.key || (a.frame.key === b.frame.key && (order.get(a) ?? 0) < (order.get(b) ?? 0));
    for (let at = (waiting.length >> 1) - 1; at >= 0; at -= 1) siftDown(waiting, at, before);
    for (let top = waiting[0]; top !== undefined; top = waiting[0]) {
      const wait = take(top.frame);
      if (wait !== undefined) await wait;
      if (!(top.advanceNow() || (await top.advance()))) {
        const last = waiting.pop();
        if (last !== undefined && last !== top) waiting[0] = last;
      }
      siftDown(waiting, 0, before);
    }
  }
}

function siftDown(heap: RunCursor[], from: number, before: (a: RunCursor, b: RunCursor) => boolean): void {
  const moved = heap[from];
  if (moved === undefined) return;
  let at = from;
  for (;;) {
    const [left, right] = [heap[2 * at + 1], heap[2 * at + 2]];
    if (left === undefined) break;
    const child = right !== undefined && before(right, left) ? 2 * at + 2 : 2 * at + 1;
    const smaller = heap[child];
    if (smaller === undefined || !before(smaller, moved)) break;
    heap[at] = smaller;
    at = child;
  }
  heap[at] = moved;
}

export type { Frame };
