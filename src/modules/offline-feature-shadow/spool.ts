import { closeSync, openSync, readSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { type Digest, RunningDigest } from '../../rails/digest.js';
import type { Offset } from '../../rails/eb-ref.js';
import type { BusRecord } from '../../substrate/bus/bus.port.js';
import type { RecordCursor } from '../../substrate/projection/replayed-state.js';

/** What the records of a file are: events that features count, label facts, decisions. */
export type SpoolKind = 'events' | 'facts' | 'decisions';

const CHUNK = 1024 * 1024;
/** Length of the value, then the offset. */
const HEAD = 12;

export function spoolFile(folder: string, kind: SpoolKind, partition: number): string {
  return join(folder, `${kind}-${partition}.spool`);
}

/** A part of one partition's log, copied to a file that several processes may read. */
export class SpoolWriter {
  readonly #digest = new RunningDigest();
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #records = 0;

  private constructor(private readonly handle: FileHandle) {}

  static async open(folder: string, kind: SpoolKind, partition: number): Promise<SpoolWriter> {
    return new SpoolWriter(await open(spoolFile(folder, kind, partition), 'wx', 0o600));
  }

  get records(): number {
    return this.#records;
  }

  add({ offset, value }: Pick<BusRecord, 'offset' | 'value'>): void {
    const head = Buffer.allocUnsafe(HEAD);
    head.writeUInt32LE(value.byteLength, 0);
    head.writeDoubleLE(offset, 4);
    this.#pending.push(head, Buffer.from(value.buffer, value.byteOffset, value.byteLength));
    this.#pendingBytes += HEAD + value.byteLength;
    this.#records += 1;
  }

  /** Writes what has gathered, once it is worth a write. */
  async drain(leastBytes = CHUNK): Promise<void> {
    if (this.#pendingBytes < leastBytes || this.#pendingBytes === 0) return;
    const bytes = Buffer.concat(this.#pending);
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#digest.update(bytes);
    await this.handle.writeFile(bytes);
  }

  /** @returns the digest of what was written */
  async close(): Promise<Digest> {
    await this.drain(0);
    await this.handle.close();
    return this.#digest.finish();
  }
}

/**
 * Reads such a file from its beginning. It reads without giving way: it belongs into a process that does nothing else.
 */
export class SpoolCursor implements RecordCursor {
  readonly #file: number;
  #buffer = Buffer.alloc(0);
  #at = 0;
  #head: BusRecord | undefined;
  #isAtEnd = false;

  constructor(
    folder: string,
    kind: SpoolKind,
    readonly partition: number,
  ) {
    this.#file = openSync(spoolFile(folder, kind, partition), 'r');
  }

  get head(): BusRecord | undefined {
    this.#head ??= this.#next();
    return this.#head;
  }

  peek(): Promise<BusRecord | undefined> {
    return Promise.resolve(this.head);
  }

  skip(): void {
    this.#head = undefined;
  }

  close(): void {
    closeSync(this.#file);
  }

  #next(): BusRecord | undefined {
    if (!this.#has(HEAD)) return undefined;
    const bytes = this.#buffer.readUInt32LE(this.#at);
    if (!this.#has(HEAD + bytes)) throw new Error('the copy of the log ends within a record');
    const offset = this.#buffer.readDoubleLE(this.#at + 4) as Offset;
    const value = this.#buffer.subarray(this.#at + HEAD, this.#at + HEAD + bytes);
    this.#at += HEAD + bytes;
    return { key: null, value, headers: {}, offset, appendedAtMs: 0 };
  }

  /** Whether so many bytes more are in the buffer, after a read where need be. */
  #has(bytes: number): boolean {
    if (this.#buffer.length - this.#at >= bytes) return true;
    // Whoever has come to the end asks again and again whether there is more.
    if (this.#isAtEnd) return false;
    const rest = this.#buffer.subarray(this.#at);
    // A buffer of its own each time: records that were handed out still look into the one before.
    const buffer = Buffer.allocUnsafeSlow(Math.max(CHUNK, bytes));
    rest.copy(buffer);
    let filled = rest.length;
    while (filled < buffer.length) {
      const got = readSync(this.#file, buffer, filled, buffer.length - filled, null);
      if (got === 0) {
        this.#isAtEnd = true;
        break;
      }
      filled += got;
    }
    this.#buffer = buffer.subarray(0, filled);
    this.#at = 0;
    return filled >= bytes;
  }
}
