/** A line of a text in bytes, as it stands there, and its number from 1. */
export interface Line {
  readonly number: number;
  readonly bytes: Buffer;
}

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/**
 * Cuts pieces of bytes into lines, wherever the pieces end. Bytes and not text, for the gate judges what was sent and
 * decoding would change what is no UTF-8. Empty lines are counted and passed over.
 */
export class LineSplitter {
  #rest: Buffer[] = [];
  #restBytes = 0;
  #number = 0;

  constructor(private readonly lineBytesMax: number) {}

  /** The number of the line that is too long, where there is one. */
  get tooLong(): number | undefined {
    return this.#restBytes > this.lineBytesMax ? this.#number + 1 : undefined;
  }

  push(piece: Buffer): readonly Line[] {
    const lines: Line[] = [];
    let from = 0;
    for (let at = piece.indexOf(LINE_FEED); at >= 0; at = piece.indexOf(LINE_FEED, from)) {
      this.#keep(piece.subarray(from, at));
      this.#close(lines);
      from = at + 1;
    }
    this.#keep(piece.subarray(from));
    return lines;
  }

  /** The last line, which needs no line feed behind it. */
  end(): readonly Line[] {
    const lines: Line[] = [];
    if (this.#restBytes > 0) this.#close(lines);
    return lines;
  }

  #keep(bytes: Buffer): void {
    if (bytes.byteLength === 0) return;
    this.#rest.push(bytes);
    this.#restBytes += bytes.byteLength;
  }

  #close(lines: Line[]): void {
    const whole = this.#rest.length === 1 && this.#rest[0] !== undefined ? this.#rest[0] : Buffer.concat(this.#rest);
    this.#rest = [];
    this.#restBytes = 0;
    this.#number += 1;
    const bytes = whole.at(-1) === CARRIAGE_RETURN ? whole.subarray(0, -1) : whole;
    if (!isBlank(bytes)) lines.push({ number: this.#number, bytes });
  }
}

function isBlank(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0x20 || byte === 0x09);
}
