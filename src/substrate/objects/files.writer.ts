import { type FileHandle } from 'node:fs/promises';
import { RunningDigest } from '../../rails/digest.js';
import { type ObjectKey } from '../../rails/ref.js';
import { onDisk } from './files.errors.js';
import { encodeSeal, SEAL_BYTES, type Seal } from './seal.core.js';

/** Small chunks of a stream are gathered up to this, so that a source of 100-byte chunks is not 100-byte writes. */
const GATHER_BYTES = 256 * 1024;

/** A buffer is handed on in pieces of this, so that hashing 64 MiB does not keep the event loop for 50 ms. */
const PIECE_BYTES = 1024 * 1024;

/** Writes the bytes of one object and its seal, hashing on the way. One call at a time; memory stays constant. */
export class SealedWriter {
  readonly #digest = new RunningDigest();
  readonly #gathered: Buffer;
  #filled = 0;

  /** `sizeBytes` where it is known: an object of 1 KB then takes one small buffer and one write, seal included. */
  constructor(
    readonly handle: FileHandle,
    readonly key: ObjectKey,
    sizeBytes: number | null,
  ) {
    this.#gathered = Buffer.allocUnsafe(Math.min(GATHER_BYTES, (sizeBytes ?? GATHER_BYTES) + SEAL_BYTES));
  }

  async writeAll(bytes: Uint8Array): Promise<void> {
    for (let offset = 0; offset < bytes.byteLength; offset += PIECE_BYTES) {
      await this.write(bytes.subarray(offset, offset + PIECE_BYTES));
    }
  }

  async write(chunk: Uint8Array): Promise<void> {
    const written = this.#append(chunk);
    // While the operating system copies the bytes, this thread hashes them.
    this.#digest.update(chunk);
    await written;
  }

  /** What has been written; ends the hashing. */
  content(mediaType: string): Seal {
    const { size } = this.#digest;
    return { digest: this.#digest.finish(), size, mediaType };
  }

  async seal(content: Seal): Promise<void> {
    await this.#append(encodeSeal(content));
    await this.#flush();
  }

  async #append(bytes: Uint8Array): Promise<void> {
    if (bytes.byteLength > this.#gathered.byteLength - this.#filled) await this.#flush();
    if (bytes.byteLength > this.#gathered.byteLength) {
      await this.#writeOut(bytes);
    } else {
      this.#gathered.set(bytes, this.#filled);
      this.#filled += bytes.byteLength;
    }
  }

  async #flush(): Promise<void> {
    if (this.#filled === 0) return;
    await this.#writeOut(this.#gathered.subarray(0, this.#filled));
    this.#filled = 0;
  }

  /** A disk that fills up takes a part first and refuses the rest at the next call. */
  async #writeOut(bytes: Uint8Array): Promise<void> {
    for (let offset = 0; offset < bytes.byteLength;) {
      const { bytesWritten } = await onDisk(this.handle.write(bytes, offset), 'the writing', this.key);
      offset += bytesWritten;
    }
  }
}
