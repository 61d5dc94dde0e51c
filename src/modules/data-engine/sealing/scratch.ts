import { mkdtemp, open, rm, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ProbityError } from '../../../rails/errors/probity-error.js';

/**
 * A temporary file without a name: its folder is removed as soon as it is open, so that the system takes its bytes back when
 * the handle is closed, by this program or by whoever kills it. Nothing is ever left to sweep.
 */
export class ScratchFile {
  #bytes = 0;

  private constructor(private readonly handle: FileHandle) {}

  /** @throws ProbityError ENGINE_SCRATCH_UNAVAILABLE */
  static async open(parent: string = tmpdir()): Promise<ScratchFile> {
    return await onScratch(async () => {
      const folder = await mkdtemp(join(parent, 'probity-engine-'));
      try {
        return new ScratchFile(await open(join(folder, 'rows'), 'wx+', 0o600));
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    });
  }

  /** Bytes so far: where the next ones will stand. */
  get bytes(): number {
    return this.#bytes;
  }

  async append(bytes: Uint8Array): Promise<void> {
    await onScratch(async () => {
      for (let at = 0; at < bytes.byteLength;) {
        const { bytesWritten } = await this.handle.write(bytes, at, bytes.byteLength - at, this.#bytes);
        at += bytesWritten;
        this.#bytes += bytesWritten;
      }
    });
  }

  /** Fills the target from `position` on, as far as there are bytes. */
  async read(target: Uint8Array, position: number): Promise<number> {
    return await onScratch(async () => {
      let filled = 0;
      while (filled < target.byteLength) {
        const { bytesRead } = await this.handle.read(target, filled, target.byteLength - filled, position + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return filled;
    });
  }

  /** All bytes from the start, in pieces that are the reader's to keep. */
  async *stream(pieceBytes = 256 * 1024): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < this.#bytes;) {
      const piece = Buffer.allocUnsafe(Math.min(pieceBytes, this.#bytes - at));
      at += await this.read(piece, at);
      yield piece;
    }
  }

  async close(): Promise<void> {
    await this.handle.close();
  }
}

async function onScratch<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? 'unknown';
    throw new ProbityError('ENGINE_SCRATCH_UNAVAILABLE', `the temporary folder cannot be used: ${reason}`, {
      cause,
      data: { reason },
    });
  }
}
