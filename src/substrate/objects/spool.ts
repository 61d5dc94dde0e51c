import { randomBytes } from 'node:crypto';
import { mkdir, open, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { RunningDigest, type Digest } from '../../rails/digest.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { type ObjectKey } from '../../rails/ref.js';
import { onDisk } from './files.errors.js';

/** Bytes whose digest and size are known, and which can be read from the start as often as needed. */
export interface Content {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  /** The bytes themselves where they are in memory; null when they are in a file. */
  readonly bytes: Uint8Array | null;
  stream(): Readable;
  close(): Promise<void>;
}

export interface SpoolOptions {
  readonly folder: string;
  /** Up to here a stream is held in memory. */
  readonly memoryBytesMax: number;
  /** What all streams of this process may have on the disk together. */
  readonly diskBytesMax: number;
}

/**
 * Holds a stream until its end is known: S3 wants digest and length before the first byte. Small ones stay in memory,
 * others go to a file without a name: it is unlinked as soon as it is open, so that a killed process leaves nothing.
 */
export class Spool {
  #diskBytes = 0;

  constructor(readonly options: SpoolOptions) {}

  /** @throws ProbityError OBJECTS_STORE_FULL when the disk or the bound is full; the source's own error as it is */
  async take(key: ObjectKey, source: AsyncIterable<Uint8Array>): Promise<Content> {
    const running = new RunningDigest();
    let held: Uint8Array[] = [];
    let file: SpoolFile | null = null;
    try {
      for await (const chunk of source) {
        running.update(chunk);
        if (file === null) {
          // A copy, because a source may use its buffer again for the next chunk.
          held.push(Uint8Array.from(chunk));
          if (running.size <= this.options.memoryBytesMax) continue;
          file = await this.#openFile(key);
          await file.write(Buffer.concat(held));
          held = [];
        } else {
          await file.write(chunk);
        }
      }
    } catch (error) {
      await file?.close();
      throw error;
    }
    const { size } = running;
    return file === null ? contentOf(Buffer.concat(held), running.finish()) : file.content(running.finish(), size);
  }

  async #openFile(key: ObjectKey): Promise<SpoolFile> {
    const { folder, diskBytesMax } = this.options;
    const path = join(folder, `${process.pid}-${randomBytes(8).toString('hex')}`);
    await onDisk(mkdir(folder, { recursive: true, mode: 0o700 }), 'the spooling', key);
    const handle = await onDisk(open(path, 'wx+', 0o600), 'the spooling', key);
    await onDisk(unlink(path), 'the spooling', key);
    const reserve = (bytes: number): void => {
      if (this.#diskBytes + bytes > diskBytesMax) {
        throw new ProbityError('OBJECTS_STORE_FULL', `the spool has no room for more of ${key}`, { data: { key } });
      }
      this.#diskBytes += bytes;
    };
    return new SpoolFile(handle, key, reserve);
  }
}

class SpoolFile {
  #size = 0;

  /** `reserve` counts against the bound of all files together; negative when a file goes. */
  constructor(
    readonly handle: FileHandle,
    readonly key: ObjectKey,
    readonly reserve: (bytes: number) => void,
  ) {}

  async write(bytes: Uint8Array): Promise<void> {
    this.reserve(bytes.byteLength);
    this.#size += bytes.byteLength;
    for (let offset = 0; offset < bytes.byteLength;) {
      const { bytesWritten } = await onDisk(this.handle.write(bytes, offset), 'the spooling', this.key);
      offset += bytesWritten;
    }
  }

  content(digest: Digest, size: number): Content {
    return {
      digest,
      size,
      bytes: null,
      stream: () => Readable.from(chunks(this.handle, size), { objectMode: false, highWaterMark: 64 * 1024 }),
      close: () => this.close(),
    };
  }

  async close(): Promise<void> {
    this.reserve(-this.#size);
    this.#size = 0;
    await this.handle.close();
  }
}

/** Reads by position, so that a stream which broke off half-way does not move the next one's start. */
async function* chunks(handle: FileHandle, size: number): AsyncGenerator<Buffer> {
  for (let offset = 0; offset < size;) {
    const chunk = Buffer.allocUnsafeSlow(Math.min(256 * 1024, size - offset));
    const { bytesRead } = await handle.read(chunk, 0, chunk.byteLength, offset);
    if (bytesRead === 0) throw new Error('the spool file ended early');
    offset += bytesRead;
    yield chunk.subarray(0, bytesRead);
  }
}

export function contentOf(bytes: Uint8Array, digest: Digest): Content {
  return {
    digest,
    size: bytes.byteLength,
    bytes,
    stream: () => Readable.from([bytes], { objectMode: false }),
    close: () => Promise.resolve(),
  };
}
