import { createReadStream, createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** A line and where it stands in the order. Lines hold no line breaks. */
export interface SortedLine {
  readonly ts: number;
  /** Decides between lines of one time. */
  readonly id: string;
  readonly text: string;
}

/** Some tens of megabytes of rows. */
const PAGE_LINES = 50_000;

/** Lines in any order in, files of lines in order out, in memory that does not grow with their number. */
export class SortedRuns {
  readonly files: string[] = [];
  #page: SortedLine[] = [];

  constructor(
    private readonly folder: string,
    private readonly name: string,
    private readonly pageLines = PAGE_LINES,
  ) {}

  /** Time to `flush`. */
  get isFull(): boolean {
    return this.#page.length >= this.pageLines;
  }

  /** @returns whether the page is full */
  add(line: SortedLine): boolean {
    this.#page.push(line);
    return this.isFull;
  }

  async flush(): Promise<void> {
    const page = this.#page;
    if (page.length === 0) return;
    this.#page = [];
    page.sort(compareLines);
    const file = join(this.folder, `${this.name}-${this.files.length}.run`);
    await pipeline(Readable.from(textsOf(page)), createWriteStream(file));
    this.files.push(file);
  }
}

/** All lines of these files in order, page by page; where time and id are equal in the order of their texts. */
export async function* mergedLines(files: readonly string[], pageLines = 5_000): AsyncGenerator<readonly SortedLine[]> {
  const cursors = files.map((file) => new LineCursor(file));
  try {
    const heap: LineCursor[] = [];
    for (const cursor of cursors) if (cursor.head !== undefined || (await cursor.fill())) heap.push(cursor);
    heap.sort((a, b) => compareHeads(a, b));
    let page: SortedLine[] = [];
    for (let top = heap[0]; top !== undefined; top = heap[0]) {
      const line = top.head;
      if (line === undefined) throw new TypeError('a cursor in the heap has a line');
      page.push(line);
      top.skip();
      if (top.head === undefined && !(await top.fill())) {
        const last = heap.pop();
        if (last !== undefined && last !== top) heap[0] = last;
      }
      siftDown(heap);
      if (page.length < pageLines) continue;
      yield page;
      page = [];
    }
    if (page.length > 0) yield page;
  } finally {
    for (const cursor of cursors) cursor.close();
  }
}

export function compareLines(a: SortedLine, b: SortedLine): number {
  if (a.ts !== b.ts) return a.ts - b.ts;
  if (a.id !== b.id) return a.id < b.id ? -1 : 1;
  return a.text < b.text ? -1 : a.text > b.text ? 1 : 0;
}

function compareHeads(a: LineCursor, b: LineCursor): number {
  return a.head === undefined || b.head === undefined ? 0 : compareLines(a.head, b.head);
}

function siftDown(heap: LineCursor[]): void {
  const moved = heap[0];
  if (moved === undefined) return;
  let at = 0;
  for (;;) {
    const [left, right] = [heap[2 * at + 1], heap[2 * at + 2]];
    if (left === undefined) break;
    const child = right !== undefined && compareHeads(right, left) < 0 ? 2 * at + 2 : 2 * at + 1;
    const smaller = heap[child];
    if (smaller === undefined || compareHeads(smaller, moved) >= 0) break;
    heap[at] = smaller;
    at = child;
  }
  heap[at] = moved;
}

function* textsOf(page: readonly SortedLine[]): Generator<Buffer> {
  for (let at = 0; at < page.length; at += 1_000)
    yield Buffer.from(
      page
        .slice(at, at + 1_000)
        .map(({ ts, id, text }) => `${JSON.stringify([ts, id])}\t${text}\n`)
        .join(''),
    );
}

/** One file's lines; a piece of it is in memory at a time. */
class LineCursor {
  #lines: SortedLine[] = [];
  #at = 0;
  #rest = '';
  readonly #stream;
  readonly #pieces: AsyncIterator<string>;

  constructor(file: string) {
    this.#stream = createReadStream(file, { encoding: 'utf8', highWaterMark: 256 * 1024 });
    this.#pieces = this.#stream[Symbol.asyncIterator]() as AsyncIterator<string>;
  }

  get head(): SortedLine | undefined {
    return this.#lines[this.#at];
  }

  skip(): void {
    this.#at += 1;
  }

  /** @returns false at the end of the file */
  async fill(): Promise<boolean> {
    for (;;) {
      const piece = await this.#pieces.next();
      if (piece.done === true) return false;
      const texts = (this.#rest + piece.value).split('\n');
      this.#rest = texts.pop() ?? '';
      this.#lines = texts.map(lineOf);
      this.#at = 0;
      if (this.#lines.length > 0) return true;
    }
  }

  close(): void {
    this.#stream.destroy();
  }
}

function lineOf(text: string): SortedLine {
  const tab = text.indexOf('\t');
  const [ts, id] = JSON.parse(text.slice(0, tab)) as [number, string];
  return { ts, id, text: text.slice(tab + 1) };
}
