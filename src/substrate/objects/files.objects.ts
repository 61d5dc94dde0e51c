import { link, mkdir, open, stat, statfs, unlink, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { RunningDigest } from '../../rails/digest.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { refTo, type ObjectKey, type Ref } from '../../rails/ref.js';
import { type Clock } from '../clock/clock.port.js';
import { type Health } from '../health.js';
import { fileFault, onDisk, systemCode } from './files.errors.js';
import { DurableFolders, FOLDER_MODE, syncFolder } from './files.folders.js';
import { Incoming } from './files.incoming.js';
import { listPage } from './files.listing.js';
import {
  checkExpected,
  checkKey,
  checkPage,
  checkPut,
  checkRange,
  checkRead,
  checkRef,
  judgeStanding,
  mismatch,
  notFound,
  storedName,
} from './objects.core.js';
import { Objects, type ByteRange, type ObjectListing, type PutOptions, type PutResult } from './objects.port.js';
import { SealedWriter } from './files.writer.js';
import { decodeSeal, SEAL_BYTES, type Seal } from './seal.core.js';
import { verified, verifiedRange, verify } from './verified.js';

/** Bytes of one read: large enough that the call itself costs little, small enough for a hundred streams at once. */
const CHUNK_BYTES = 256 * 1024;

/**
 * Objects as files of one folder of a local file system.
 *
 * A put goes through four states, and a crash in any of them leaves nothing visible or the whole object:
 *
 * 1. written: bytes and seal are in a file under `incoming/`, which no reader looks at. A crash leaves a file that the
 *    next start sweeps.
 * 2. durable: the file is synced. Only now may it get a name: a name that reaches the disk before its bytes would stand
 *    there empty after a power cut, and could never be put again.
 * 3. visible: link() gave it its name under `objects/`. It fails when the name is taken, which rename() would not: this
 *    one call is put-if-absent, for all processes on this folder.
 * 4. acknowledged: the folder that holds the name is synced, and so is every folder above it.
 */
export class FilesObjects extends Objects {
  readonly kind = 'files';
  readonly #inFlight = new Set<Promise<unknown>>();
  #closed = false;

  private constructor(
    readonly root: string,
    readonly clock: Clock,
    readonly incoming: Incoming,
    readonly folders: DurableFolders,
  ) {
    super();
  }

  /**
   * Makes the folder when it is missing, sweeps what killed writers left, and tries whether the file system has hard
   * links.
   *
   * @throws ProbityError OBJECTS_FORBIDDEN, OBJECTS_STORE_FULL, OBJECTS_UNAVAILABLE
   */
  static async open(folder: string, clock: Clock): Promise<FilesObjects> {
    try {
      const root = join(folder, 'objects');
      await mkdir(root, { recursive: true, mode: FOLDER_MODE });
      await syncFolder(folder);
      // Whoever made the folders above may not let this process open them; their names are their maker's to sync.
      await syncFolder(dirname(folder)).catch(() => undefined);
      const incoming = await Incoming.open(join(folder, 'incoming'), clock);
      const store = new FilesObjects(root, clock, incoming, new DurableFolders(root));
      await store.#tryLinks();
      return store;
    } catch (error) {
      throw fileFault(error, 'opening the object folder');
    }
  }

  /** Without hard links there is no put-if-absent; better to hear of it at the start than at the first put. */
  async #tryLinks(): Promise<void> {
    const { path, handle } = await this.incoming.create();
    await handle.close();
    await link(path, `${path}.link`);
    await Promise.all([unlink(path), unlink(`${path}.link`)]);
  }

  override async putIfAbsent(
    key: ObjectKey,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    options: PutOptions,
  ): Promise<PutResult> {
    checkPut(key, options);
    this.#mustBeOpen();
    const put = this.#put(key, body, options);
    this.#inFlight.add(put);
    try {
      return await put;
    } finally {
      this.#inFlight.delete(put);
    }
  }

  async #put(key: ObjectKey, body: Uint8Array | AsyncIterable<Uint8Array>, options: PutOptions): Promise<PutResult> {
    const { path, handle } = await onDisk(this.incoming.create(), 'the start of a put', key);
    try {
      return await this.#publish(key, path, await this.#write(handle, key, body, options));
    } finally {
      // The second name of what now stands, or all there is of what does not. Should it stay, the next start sweeps it.
      await unlink(path).catch(() => undefined);
    }
  }

  /** States 1 and 2. A failing source throws its own error: it is the caller's. */
  async #write(
    handle: FileHandle,
    key: ObjectKey,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    options: PutOptions,
  ): Promise<Seal> {
    try {
      const writer = new SealedWriter(handle, key, body instanceof Uint8Array ? body.byteLength : null);
      if (body instanceof Uint8Array) await writer.writeAll(body);
      else for await (const chunk of body) await writer.write(chunk);
      const content = writer.content(options.mediaType);
      checkExpected(key, content.digest, options.expect);
      await writer.seal(content);
      await onDisk(handle.sync(), 'the sync', key);
      return content;
    } finally {
      await handle.close();
    }
  }

  /** States 3 and 4. */
  async #publish(key: ObjectKey, temporary: string, seal: Seal): Promise<PutResult> {
    const path = this.#path(key);
    const folder = dirname(path);
    await onDisk(Promise.resolve(this.folders.ensure(folder)), 'making the folder', key);
    try {
      await link(temporary, path);
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') throw fileFault(error, 'the naming', key);
      if (!(await onDisk(isSameFile(temporary, path), 'looking at what stands', key))) {
        return this.#meet(key, folder, seal);
      }
      // A network file system may repeat a link() whose answer was lost, and then refuse its own success.
    }
    await this.#acknowledge(key, folder);
    return { outcome: 'NEW', ref: refTo(key, seal.digest, seal.size, seal.mediaType), offered: seal.digest };
  }

  /** The key was taken. A DUPLICATE is an acknowledgement like any other, so the bytes must be whole and durable. */
  async #meet(key: ObjectKey, folder: string, offered: Seal): Promise<PutResult> {
    const standing = await this.#standing(key);
    if (standing === null) throw new ProbityError('OBJECTS_UNAVAILABLE', `${key} was taken and is gone`);
    const result = judgeStanding(standing, offered.digest);
    if (result.outcome === 'DUPLICATE') {
      await verify(standing, this.#contents(standing));
      await this.#acknowledge(key, folder);
    }
    return result;
  }

  /** A failure here is no STORE_FULL: the name is there, and whether it outlives a power cut is what is not known. */
  async #acknowledge(key: ObjectKey, folder: string): Promise<void> {
    try {
      await this.folders.sync(folder);
    } catch (error) {
      throw new ProbityError('OBJECTS_UNAVAILABLE', `the folder of ${key} could not be synced`, {
        cause: error,
        data: { key, reason: systemCode(error) ?? 'unknown' },
      });
    }
  }

  override async read(ref: Ref, options?: { readonly bytesMax?: number }): Promise<Buffer> {
    checkRead(ref, options?.bytesMax);
    const handle = await this.#openFile(ref.locator);
    try {
      return await onDisk(readSealed(handle, ref), 'the reading', ref.locator);
    } finally {
      await handle.close();
    }
  }

  override open(ref: Ref): AsyncIterable<Uint8Array> {
    checkRef(ref);
    return verified(ref, this.#contents(ref));
  }

  override async readRange(ref: Ref, range: ByteRange): Promise<Buffer> {
    checkRange(ref, range);
    return verifiedRange(ref, this.#contents(ref), range);
  }

  /** The bytes before the seal, which must be where the ref says that they end. */
  async *#contents(ref: Ref): AsyncGenerator<Uint8Array> {
    const key = ref.locator;
    const handle = await this.#openFile(key);
    try {
      const { size } = await onDisk(handle.stat(), 'the reading', key);
      const seal = size === ref.size + SEAL_BYTES ? await onDisk(sealAt(handle, ref.size), 'the reading', key) : null;
      checkSeal(ref, seal, size);
      for (let offset = 0; offset < ref.size;) {
        const wanted = Math.min(CHUNK_BYTES, ref.size - offset);
        const chunk = Buffer.allocUnsafeSlow(wanted);
        const { bytesRead } = await onDisk(handle.read(chunk, 0, wanted, offset), 'the reading', key);
        // Cut off while it was being read: what is missing is noticed by whoever counts.
        if (bytesRead === 0) return;
        offset += bytesRead;
        yield chunk.subarray(0, bytesRead);
      }
    } finally {
      await handle.close();
    }
  }

  override async head(key: ObjectKey): Promise<Ref | null> {
    checkKey(key);
    return this.#standing(key);
  }

  async #standing(key: ObjectKey): Promise<Ref | null> {
    this.#mustBeOpen();
    const handle = await onDisk(openIfThere(this.#path(key)), 'the reading', key);
    if (handle === null) return null;
    try {
      const { size } = await onDisk(handle.stat(), 'the reading', key);
      const seal = size < SEAL_BYTES ? null : await onDisk(sealAt(handle, size - SEAL_BYTES), 'the reading', key);
      if (seal?.size !== size - SEAL_BYTES) {
        throw new ProbityError('OBJECTS_DIGEST_MISMATCH', `${key} has no valid seal`, { data: { key } });
      }
      return refTo(key, seal.digest, seal.size, seal.mediaType);
    } finally {
      await handle.close();
    }
  }

  override async list(
    prefix: string,
    options?: { readonly after?: ObjectKey; readonly limit?: number },
  ): Promise<ObjectListing> {
    const page = checkPage(prefix, options);
    this.#mustBeOpen();
    return onDisk(listPage(this.root, page), 'the listing');
  }

  /** Writes, syncs and removes a file as a put would, and says how much room is left. */
  override async health(): Promise<Health> {
    const startMs = this.clock.monotonicMs();
    const tookMs = (): number => this.clock.monotonicMs() - startMs;
    if (this.#closed) return { ok: false, detail: 'The object store is closed.', tookMs: 0 };
    try {
      const { path, handle } = await this.incoming.create();
      try {
        await handle.write(Buffer.alloc(SEAL_BYTES));
        await handle.sync();
      } finally {
        await handle.close();
        await unlink(path);
      }
      const { bavail, bsize } = await statfs(this.root);
      const freeMb = Math.floor((bavail * bsize) / 1_000_000);
      return { ok: true, detail: `A file was written, synced and removed; ${freeMb} MB are free.`, tookMs: tookMs() };
    } catch (error) {
      const fault = fileFault(error, 'writing a trial file');
      return { ok: false, detail: `${fault.detail}.`, tookMs: tookMs() };
    }
  }

  /** Waits for the puts under way, then takes the folder of temporary files away. */
  override async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#inFlight);
    await onDisk(this.incoming.close(), 'closing the object folder');
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new ProbityError('OBJECTS_UNAVAILABLE', 'the object store is closed');
  }

  #path(key: ObjectKey): string {
    return join(this.root, storedName(key));
  }

  async #openFile(key: ObjectKey): Promise<FileHandle> {
    this.#mustBeOpen();
    const handle = await onDisk(openIfThere(this.#path(key)), 'the reading', key);
    if (handle === null) throw notFound(key);
    return handle;
  }
}

async function openIfThere(path: string): Promise<FileHandle | null> {
  try {
    return await open(path, 'r');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null;
    throw error;
  }
}

async function isSameFile(one: string, other: string): Promise<boolean> {
  const [a, b] = await Promise.all([stat(one, { bigint: true }), stat(other, { bigint: true })]);
  return a.ino === b.ino && a.dev === b.dev;
}

async function sealAt(handle: FileHandle, position: number): Promise<Seal | null> {
  const bytes = Buffer.allocUnsafe(SEAL_BYTES);
  const { bytesRead } = await handle.read(bytes, 0, SEAL_BYTES, position);
  return decodeSeal(bytes.subarray(0, bytesRead));
}

function checkSeal(ref: Ref, seal: Seal | null, fileBytes: number): void {
  const { locator: key, digest, size } = ref;
  if (fileBytes !== size + SEAL_BYTES) {
    throw mismatch(key, digest.hex, null, `there are ${fileBytes - SEAL_BYTES} bytes instead of ${size}`);
  }
  if (seal === null) throw mismatch(key, digest.hex, null, 'its seal is broken');
  if (seal.digest !== digest.hex) throw mismatch(key, digest.hex, seal.digest);
}

/** The whole file in one buffer; each piece is hashed while the next one is being read. */
async function readSealed(handle: FileHandle, ref: Ref): Promise<Buffer> {
  // One byte more than there should be, so that an extended file is noticed.
  const bytes = Buffer.allocUnsafe(ref.size + SEAL_BYTES + 1);
  const running = new RunningDigest();
  const hashUpTo = (end: number): void => {
    if (running.size < end) running.update(bytes.subarray(running.size, end));
  };
  let filled = 0;
  for (;;) {
    const reading = handle.read(bytes, filled, Math.min(bytes.byteLength - filled, 4 * CHUNK_BYTES), filled);
    hashUpTo(Math.min(filled, ref.size));
    const { bytesRead } = await reading;
    filled += bytesRead;
    if (bytesRead === 0 || filled >= ref.size + SEAL_BYTES) break;
  }
  checkSeal(ref, decodeSeal(bytes.subarray(ref.size, ref.size + SEAL_BYTES)), filled);
  hashUpTo(ref.size);
  const found = running.finish();
  if (found !== ref.digest.hex) throw mismatch(ref.locator, ref.digest.hex, found);
  return bytes.subarray(0, ref.size);
}
