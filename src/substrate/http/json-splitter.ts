import { ProbityError } from '../../rails/errors/probity-error.js';

/**
 * One element of a body. Its text is what was sent, blanks around it left out; whether it is valid JSON is for whoever parses it,
 * so that one bad element is one bad answer and not the end of the body.
 */
export type JsonElement =
  | { readonly index: number; readonly text: string }
  | {
      readonly index: number;
      readonly refused: 'too_large' | 'not_utf8';
      readonly bytes: number;
      /** With `keepHead`: its first bytes, at most `elementBytesMax` of them. */
      readonly head?: Buffer;
    };

export interface JsonSplitterOptions {
  /**
   * `json`: one array, whose elements are taken one by one, or values one after another (one object is the simplest case).
   * `lines`: every line that is not blank is an element, whatever stands in it; a broken one ends at its own line.
   */
  readonly form: 'json' | 'lines';
  /** A longer element is counted but not kept: memory is bounded by this, not by what is sent. */
  readonly elementBytesMax: number;
  /** For who has to show what was refused. */
  readonly keepHead?: boolean;
}

const [TAB, LF, CR, SPACE, QUOTE, BACKSLASH, COMMA] = [0x09, 0x0a, 0x0d, 0x20, 0x22, 0x5c, 0x2c];
const [OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

/**
 * Cuts a body into its elements while it arrives, in memory of one element. Where the chunks end makes no difference: the
 * same bytes give the same elements and the same fault. It looks at strings and brackets alone; a body is valid JSON exactly
 * when there is no fault and every element parses.
 *
 * Give chunks to `push` and ask `fault` after each; call `end` when there are no more.
 */
export class JsonSplitter {
  readonly #options: JsonSplitterOptions;
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  #shape: 'array' | 'values' | undefined;
  #state: 'start' | 'first' | 'before' | 'inside' | 'after' | 'done' = 'start';
  #fault: ProbityError | undefined;
  /** Bytes before the present chunk. */
  #offset = 0;
  #count = 0;
  #lines = 0;
  #markBytes = 0;

  // Of the element that is under way.
  #depth = 0;
  #inString = false;
  #escaped = false;
  #scalar = false;
  /** What of it lies in chunks that are gone; grown by doubling, so that many small chunks cost no more than few large. */
  #kept = new Uint8Array(0);
  #keptBytes = 0;
  #bytes = 0;

  constructor(options: JsonSplitterOptions) {
    this.#options = options;
  }

  /** `array`: the body is one array. `values`: one value, or several one after another. Undefined before the first byte that says. */
  get shape(): 'array' | 'values' | undefined {
    return this.#shape;
  }

  /** HTTP_BODY_INVALID, once the body has left its form; what was complete before it has been handed out. */
  get fault(): ProbityError | undefined {
    return this.#fault;
  }

  /** The elements that end in this chunk, in order. After a fault there are no more. */
  push(chunk: Uint8Array): readonly JsonElement[] {
    if (this.#fault !== undefined) return [];
    const elements: JsonElement[] = [];
    if (this.#options.form === 'lines') this.#pushLines(chunk, elements);
    else this.#pushJson(chunk, elements);
    this.#offset += chunk.byteLength;
    return elements;
  }

  /** What ends with the body itself. @throws ProbityError HTTP_BODY_INVALID for a body that left its form or breaks off */
  end(): readonly JsonElement[] {
    if (this.#fault !== undefined) throw this.#fault;
    const elements: JsonElement[] = [];
    if (this.#options.form === 'lines') this.#finishLine(elements);
    else if (this.#state === 'inside' && this.#scalar && this.#shape === 'values') this.#finish(elements);
    else if (this.#state === 'inside' || (this.#shape === 'array' && this.#state !== 'done') || this.#markIsCut) {
      throw this.#refuse(this.#offset, 'the body breaks off');
    }
    return elements;
  }

  #pushLines(chunk: Uint8Array, elements: JsonElement[]): void {
    this.#shape = 'values';
    let from = 0;
    for (;;) {
      const at = chunk.indexOf(LF, from);
      this.#keep(chunk, from, at < 0 ? chunk.byteLength : at);
      if (at < 0) return;
      this.#finishLine(elements);
      from = at + 1;
    }
  }

  #finishLine(elements: JsonElement[]): void {
    this.#lines += 1;
    if (this.#bytes > this.#options.elementBytesMax) {
      this.#finish(elements);
      return;
    }
    let [from, to] = [this.#markOfLine(), this.#keptBytes];
    while (from < to && isBlank(this.#kept[from])) from += 1;
    while (to > from && isBlank(this.#kept[to - 1])) to -= 1;
    this.#kept.copyWithin(0, from, to);
    this.#keptBytes = this.#bytes = to - from;
    if (from < to) this.#finish(elements);
  }

  #pushJson(chunk: Uint8Array, elements: JsonElement[]): void {
    let at = 0;
    let from = 0;
    while (at < chunk.byteLength) {
      if (this.#state === 'inside') {
        const end = this.#endIn(chunk, at);
        if (end === undefined) break;
        this.#keep(chunk, from, end);
        this.#finish(elements);
        at = end;
        continue;
      }
      const byte = chunk[at];
      if (this.#passMark(byte, this.#offset + at) || (isBlank(byte) && !this.#markIsCut)) {
        at += 1;
        continue;
      }
      if (this.#step(byte, this.#offset + at)) from = at;
      if (this.#fault !== undefined) return;
      at += 1;
    }
    if (this.#state === 'inside') this.#keep(chunk, from, chunk.byteLength);
  }

  /** A byte between elements that is not blank. True where it is the first of an element. */
  #step(byte: number | undefined, offset: number): boolean {
    switch (this.#state) {
      case 'start':
        if (this.#markIsCut) {
          this.#fault = this.#refuse(offset, 'the body is not UTF-8');
          return false;
        }
        if (byte === OPEN_ARRAY) {
          this.#shape = 'array';
          this.#state = 'first';
          return false;
        }
        this.#shape = 'values';
        return this.#begin(byte, offset);
      case 'first':
        if (byte !== CLOSE_ARRAY) return this.#begin(byte, offset);
        this.#state = 'done';
        return false;
      case 'before':
        return this.#begin(byte, offset);
      case 'after':
        if (this.#shape === 'values') return this.#begin(byte, offset);
        if (byte === COMMA) this.#state = 'before';
        else if (byte === CLOSE_ARRAY) this.#state = 'done';
        else this.#fault = this.#refuse(offset, 'between two elements stands something else than a comma');
        return false;
      case 'inside':
      case 'done':
        this.#fault = this.#refuse(offset, 'something follows the end of the array');
        return false;
    }
  }

  #begin(byte: number | undefined, offset: number): boolean {
    if (byte === COMMA || byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) {
      this.#fault = this.#refuse(offset, 'an element is missing');
      return false;
    }
    this.#state = 'inside';
    this.#depth = byte === OPEN_OBJECT || byte === OPEN_ARRAY ? 1 : 0;
    this.#inString = byte === QUOTE;
    this.#escaped = false;
    this.#scalar = this.#depth === 0 && !this.#inString;
    return true;
  }

  /** The place after the last byte of the element that is under way; undefined where it goes on after this chunk. */
  #endIn(chunk: Uint8Array, start: number): number | undefined {
    for (let at = start; at < chunk.byteLength; at += 1) {
      const byte = chunk[at];
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false;
        else if (byte === BACKSLASH) this.#escaped = true;
        else if (byte === QUOTE) {
          this.#inString = false;
          if (this.#depth === 0) return at + 1;
        }
      } else if (this.#scalar) {
        if (isBlank(byte)) return at;
        if (this.#shape === 'array' && (byte === COMMA || byte === CLOSE_ARRAY)) return at;
      } else if (byte === QUOTE) this.#inString = true;
      else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) this.#depth += 1;
      else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
        this.#depth -= 1;
        if (this.#depth === 0) return at + 1;
      }
    }
    return undefined;
  }

  #keep(chunk: Uint8Array, from: number, to: number): void {
    const { elementBytesMax, keepHead = false } = this.#options;
    this.#bytes += to - from;
    if (this.#bytes > elementBytesMax && !keepHead) return;
    const bytes = Math.min(this.#keptBytes + to - from, elementBytesMax);
    if (bytes > this.#kept.byteLength) {
      const larger = new Uint8Array(Math.max(bytes, Math.min(elementBytesMax, 2 * bytes)));
      larger.set(this.#kept.subarray(0, this.#keptBytes));
      this.#kept = larger;
    }
    this.#kept.set(chunk.subarray(from, from + bytes - this.#keptBytes), this.#keptBytes);
    this.#keptBytes = bytes;
  }

  #finish(elements: JsonElement[]): void {
    const index = this.#count;
    this.#count += 1;
    this.#state = 'after';
    const bytes = this.#bytes;
    const text = bytes > this.#options.elementBytesMax ? undefined : this.#text();
    if (text !== undefined) elements.push({ index, text });
    else {
      const refused = bytes > this.#options.elementBytesMax ? 'too_large' : 'not_utf8';
      // A copy: the memory is used again for the next element.
      const head = this.#options.keepHead ? { head: Buffer.from(this.#kept.subarray(0, this.#keptBytes)) } : {};
      elements.push({ index, refused, bytes, ...head });
    }
    this.#forget();
  }

  #text(): string | undefined {
    try {
      return this.#decoder.decode(this.#kept.subarray(0, this.#keptBytes));
    } catch {
      return undefined;
    }
  }

  #forget(): void {
    this.#keptBytes = 0;
    this.#bytes = 0;
  }

  /**
   * Some programs put a byte order mark before a text in UTF-8; it says nothing and is passed over. It may come in pieces, like
   * everything else.
   */
  #passMark(byte: number | undefined, offset: number): boolean {
    if (this.#state !== 'start' || offset !== this.#markBytes || byte !== BYTE_ORDER_MARK[offset]) return false;
    this.#markBytes += 1;
    return true;
  }

  get #markIsCut(): boolean {
    return this.#markBytes > 0 && this.#markBytes < BYTE_ORDER_MARK.length;
  }

  /** Of the first line: how many bytes a mark takes. */
  #markOfLine(): number {
    const marked = this.#lines === 1 && BYTE_ORDER_MARK.every((byte, at) => this.#kept[at] === byte);
    return marked && this.#keptBytes >= BYTE_ORDER_MARK.length ? BYTE_ORDER_MARK.length : 0;
  }

  #refuse(offset: number, says: string): ProbityError {
    return new ProbityError('HTTP_BODY_INVALID', `${says}, at byte ${offset}, in element ${this.#count}`, {
      data: { byte: offset, element: this.#count },
    });
  }
}

function isBlank(byte: number | undefined): boolean {
  return byte === SPACE || byte === LF || byte === CR || byte === TAB;
}

/** The form that a media type declares; what is not known to be lines is JSON, which well-formed lines are, too. */
export function formOf(mediaType: string | undefined): 'json' | 'lines' {
  return /^application\/(x-)?(ndjson|jsonl|jsonlines)\s*(;|$)/i.test(mediaType ?? '') ? 'lines' : 'json';
}

/**
 * The elements of a body as it arrives: for each of its pieces those that end in it. What was complete before a fault comes first.
 * @throws ProbityError HTTP_BODY_INVALID for a body that leaves its form, breaks off or cannot be read
 */
export async function* elementsOf(
  splitter: JsonSplitter,
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<readonly JsonElement[], void> {
  const pieces = body[Symbol.asyncIterator]();
  try {
    while (splitter.fault === undefined) {
      const next = await nextOf(pieces);
      if (next.done === true) break;
      const elements = splitter.push(next.value);
      if (elements.length > 0) yield elements;
    }
    const last = splitter.end();
    if (last.length > 0) yield last;
  } finally {
    await pieces.return?.();
  }
}

/** What ends a body early (a broken connection, a gzip stream that is none) is the sender's, whatever the stream calls it. */
async function nextOf(pieces: AsyncIterator<Uint8Array>): Promise<IteratorResult<Uint8Array, unknown>> {
  try {
    return await pieces.next();
  } catch (cause) {
    if (cause instanceof ProbityError) throw cause;
    throw new ProbityError('HTTP_BODY_INVALID', 'the body could not be read to its end', { cause });
  }
}
