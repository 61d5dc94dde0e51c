/**
 * A row in a page or run, as bytes: head length and tail length (four bytes each), sort key, head, tail. The number of the row
 * goes between head and tail when all rows stand in order.
 */
export interface Frame {
  bytes: Buffer;
  /** Where the frame begins, where head and tail begin, and where it ends. */
  start: number;
  head: number;
  tail: number;
  end: number;
  key: string;
}

/** Takes a frame; its bytes are valid until the taker is called again or its promise has resolved. */
export type TakeFrame = (frame: Frame) => Promise<void> | undefined;

const LENGTHS = 8;

/** Reads the frame at `at`; false when the bytes end before it does. The one object is used for every frame. */
export function frameAt(bytes: Buffer, at: number, filled: number, keyBytes: number, into: Frame): boolean {
  if (filled - at < LENGTHS + keyBytes) return false;
  const head = at + LENGTHS + keyBytes;
  const tail = head + bytes.readUInt32LE(at);
  const end = tail + bytes.readUInt32LE(at + 4);
  if (end > filled) return false;
  into.bytes = bytes;
  into.start = at;
  into.head = head;
  into.tail = tail;
  into.end = end;
  into.key = bytes.toString('latin1', at + LENGTHS, head);
  return true;
}

export function emptyFrame(): Frame {
  return { bytes: Buffer.alloc(0), start: 0, head: 0, tail: 0, end: 0, key: '' };
}

/** Frames of one page, in the order of arrival, with what is needed to put them in order. */
export class Frames {
  readonly #page: Buffer;
  #filled = 0;
  #rows = 0;
  #inOrder = true;
  #first = '';
  #last = '';

  constructor(
    pageBytes: number,
    private readonly keyBytes: number,
  ) {
    this.#page = Buffer.allocUnsafeSlow(pageBytes);
  }

  get rows(): number {
    return this.#rows;
  }

  /** The least and the greatest key of the page. */
  get firstKey(): string {
    return this.#first;
  }

  get lastKey(): string {
    return this.#last;
  }

  /** False when there is no room. */
  add(key: string, head: string, tail: string): boolean {
    const at = this.#filled;
    const characters = head.length + tail.length;
    // A UTF-16 unit takes at most three bytes of UTF-8.
    if (at + LENGTHS + this.keyBytes + 3 * characters > this.#page.byteLength) return false;
    // One call for all three texts: the call costs more than the copying.
    const bytes = this.#page.write(key + head + tail, at + LENGTHS) - this.keyBytes;
    // Of another width it would be cut at another place when it is read back.
    if (key.length !== this.keyBytes) throw new RangeError(`${key} is no sort key of ${this.keyBytes} characters`);
    const headBytes = bytes === characters ? head.length : Buffer.byteLength(head);
    this.#page.writeUInt32LE(headBytes, at);
    this.#page.writeUInt32LE(bytes - headBytes, at + 4);
    this.#note(key, at + LENGTHS + this.keyBytes + bytes);
    return true;
  }

  /** False when there is no room. */
  copy(frame: Frame): boolean {
    const at = this.#filled;
    const length = frame.end - frame.start;
    if (at + length > this.#page.byteLength) return false;
    frame.bytes.copy(this.#page, at, frame.start, frame.end);
    this.#note(frame.key, at + length);
    return true;
  }

  #note(key: string, end: number): void {
    if (this.#rows === 0) {
      this.#first = key;
      this.#last = key;
    } else if (key < this.#last) {
      this.#inOrder = false;
      if (key < this.#first) this.#first = key;
    } else this.#last = key;
    this.#rows += 1;
    this.#filled = end;
  }

  /** The page's bytes as they were added. */
  bytes(): Buffer {
    return this.#page.subarray(0, this.#filled);
  }

  /** The page's bytes in the order of (key, arrival). */
  sorted(): Buffer {
    if (this.#inOrder) return this.bytes();
    const gathered = Buffer.allocUnsafeSlow(this.#filled);
    let filled = 0;
    for (const { start, end } of this.#order()) filled += this.#page.copy(gathered, filled, start, end);
    return gathered;
  }

  async each(take: TakeFrame): Promise<void> {
    const sorted = this.sorted();
    const frame = emptyFrame();
    for (let at = 0; frameAt(sorted, at, sorted.byteLength, this.keyBytes, frame); at = frame.end) {
      const wait = take(frame);
      if (wait !== undefined) await wait;
    }
  }

  clear(): void {
    this.#filled = 0;
    this.#rows = 0;
    this.#inOrder = true;
  }

  /** Keys are taken from the bytes again only here: of rows that come in order none has to be kept. */
  #order(): readonly { readonly key: string; readonly start: number; readonly end: number }[] {
    const places = [];
    const frame = emptyFrame();
    for (let at = 0; frameAt(this.#page, at, this.#filled, this.keyBytes, frame); at = frame.end) {
      places.push({ key: frame.key, start: frame.start, end: frame.end });
    }
    // Sorting is stable: equal keys keep the order of arrival.
    return places.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  }
}
