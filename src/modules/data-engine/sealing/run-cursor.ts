import { ProbityError } from '../../../rails/errors/probity-error.js';
import { emptyFrame, frameAt, type Frame } from './frames.js';
import type { ScratchFile } from './scratch.js';

/** A stretch of the temporary file whose rows stand in order. */
export interface Run {
  readonly start: number;
  end: number;
}

const BUFFER_BYTES = 64 * 1024;

/** Reads one run, frame by frame. */
export class RunCursor {
  readonly frame: Frame = emptyFrame();
  #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  #filled = 0;
  #at = 0;
  #position: number;

  constructor(
    private readonly scratch: ScratchFile,
    private readonly run: Run,
    private readonly keyBytes: number,
  ) {
    this.#position = run.start;
  }

  /** The next frame, where it is in memory already. */
  advanceNow(): boolean {
    if (!frameAt(this.#buffer, this.#at, this.#filled, this.keyBytes, this.frame)) return false;
    this.#at = this.frame.end;
    return true;
  }

  /** The next frame, read from the file where need be; false at the end of the run. */
  async advance(): Promise<boolean> {
    while (!this.advanceNow()) {
      const rest = this.#filled - this.#at;
      const left = this.run.end - this.#position;
      if (left === 0) {
        if (rest === 0) return false;
        throw new ProbityError('ENGINE_SCRATCH_UNAVAILABLE', 'the temporary file ends within a row');
      }
      // A row that is longer than the buffer: the buffer grows to hold it, at most to the size of a page.
      const buffer = rest === this.#buffer.byteLength ? Buffer.allocUnsafeSlow(rest * 2) : this.#buffer;
      this.#buffer.copy(buffer, 0, this.#at, this.#filled);
      const wanted = Math.min(buffer.byteLength - rest, left);
      const got = await this.scratch.read(buffer.subarray(rest, rest + wanted), this.#position);
      if (got === 0) throw new ProbityError('ENGINE_SCRATCH_UNAVAILABLE', 'the temporary file is shorter than it was');
      this.#buffer = buffer;
      this.#at = 0;
      this.#filled = rest + got;
      this.#position += got;
    }
    return true;
  }
}
