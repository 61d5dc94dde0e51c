import type { Ref } from '../../../rails/ref.js';
import type { UtcMicros } from '../../../rails/time.js';
import type { Part } from '../data-engine.port.js';
import type { Frame } from './frames.js';

/** A reader takes a part into memory whole before it uses a row of it. */
export const PART_BYTES_MAX = 8 * 1024 * 1024;

const NEWLINE = 0x0a;

export interface PartsOptions {
  /** Puts one part; the bytes are the callee's until the promise resolves. */
  readonly put: (number: number, bytes: Uint8Array) => Promise<Ref>;
  /** Whether each row's number goes between its head and its tail. */
  readonly numbered: boolean;
  /** Whether the sort key is the row's time. */
  readonly timed: boolean;
  readonly partBytesMax?: number;
}

/** Rows in order in, parts out: while one is being put, the next is filled. */
export class PartWriter {
  readonly parts: Part[] = [];
  #buffer: Buffer;
  #other: Buffer | undefined;
  readonly #max: number;
  #filled = 0;
  #rows = 0;
  #firstRow = 0;
  #firstKey = '';
  #lastKey = '';
  #pending: Promise<void> | undefined;
  #number = 0;

  constructor(private readonly options: PartsOptions) {
    this.#max = options.partBytesMax ?? PART_BYTES_MAX;
    // Most worlds of a person who tries things are small: the buffer grows with them.
    this.#buffer = Buffer.allocUnsafeSlow(Math.min(this.#max, 64 * 1024));
  }

  /** Rows so far, of all parts. */
  get rows(): number {
    return this.#firstRow + this.#rows;
  }

  readonly take = (frame: Frame): Promise<void> | undefined => {
    // 17 bytes: a row number has at most 16 digits, and a line feed ends the line.
    const needed = frame.end - frame.head + 17;
    if (this.#filled + needed <= this.#buffer.byteLength || this.#grow(needed)) {
      this.#write(frame);
      return undefined;
    }
    return this.#flush().then(() => {
      if (needed > this.#buffer.byteLength) this.#grow(needed);
      this.#write(frame);
    });
  };

  /** Puts what is left and waits for everything. */
  async finish(): Promise<readonly Part[]> {
    if (this.#rows > 0) await this.#flush();
    await this.#pending;
    return this.parts;
  }

  #grow(needed: number): boolean {
    if (this.#filled + needed > this.#max) return false;
    const bytes = Math.min(this.#max, Math.max(this.#buffer.byteLength * 2, this.#filled + needed));
    const larger = Buffer.allocUnsafeSlow(bytes);
    this.#buffer.copy(larger, 0, 0, this.#filled);
    this.#buffer = larger;
    return true;
  }

  #write({ bytes, head, tail, end, key }: Frame): void {
    const buffer = this.#buffer;
    let at = this.#filled;
    at += bytes.copy(buffer, at, head, tail);
    if (this.options.numbered) {
      at += buffer.write(String(this.#firstRow + this.#rows), at, 'latin1');
      at += bytes.copy(buffer, at, tail, end);
    }
    buffer[at] = NEWLINE;
    this.#filled = at + 1;
    if (this.#rows === 0) this.#firstKey = key;
    this.#lastKey = key;
    this.#rows += 1;
  }

  async #flush(): Promise<void> {
    await this.#pending;
    const full = this.#buffer;
    const bytes = full.subarray(0, this.#filled);
    const about = {
      rows: this.#rows,
      first_row: this.#firstRow,
      ...(this.options.timed
        ? { first_ts_utc: this.#firstKey as UtcMicros, last_ts_utc: this.#lastKey as UtcMicros }
        : {}),
    };
    this.#pending = this.options.put(this.#number, bytes).then((ref) => {
      this.parts.push({ ref, ...about });
      this.#other = full;
    });
    // Whoever comes next awaits it; until then a failure must not count as unhandled.
    this.#pending.catch(() => undefined);
    this.#number += 1;
    this.#firstRow += this.#rows;
    this.#rows = 0;
    this.#filled = 0;
    this.#buffer = this.#other ?? Buffer.allocUnsafeSlow(this.#max);
    this.#other = undefined;
  }
}
