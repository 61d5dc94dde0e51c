import { ProbityError } from '../../rails/errors/probity-error.js';
import type { SliceRow } from '../label-store/label-store.port.js';

/** The lines of a slice of labels, as many at a time as are asked for. */
export class LabelLines {
  readonly #decoder = new TextDecoder('utf-8', { fatal: true });
  readonly #pieces: AsyncIterator<Uint8Array>;
  #lines: string[] = [];
  #at = 0;
  #rest = '';

  constructor(bytes: AsyncIterable<Uint8Array>) {
    this.#pieces = bytes[Symbol.asyncIterator]();
  }

  /** @throws OBJECTS_DIGEST_MISMATCH once the last line was read of an object that is not what its ref says */
  async take(count: number): Promise<readonly SliceRow[]> {
    while (this.#lines.length - this.#at < count) {
      const piece = await this.#pieces.next();
      if (piece.done === true) throw new ProbityError('INTERNAL', 'the slice of labels has fewer lines than targets');
      const texts = (this.#rest + this.#decoder.decode(piece.value, { stream: true })).split('\n');
      this.#rest = texts.pop() ?? '';
      this.#lines = [...this.#lines.slice(this.#at), ...texts];
      this.#at = 0;
    }
    const lines = this.#lines.slice(this.#at, this.#at + count);
    this.#at += count;
    return lines.map((line) => JSON.parse(line) as SliceRow);
  }

  /** To the end, which is where the digest is known. */
  async end(): Promise<void> {
    const { done } = await this.#pieces.next();
    if (done !== true || this.#at < this.#lines.length || this.#rest !== '')
      throw new ProbityError('INTERNAL', 'the slice of labels has more lines than targets');
  }
}
