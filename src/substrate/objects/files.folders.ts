import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { systemCode } from './files.errors.js';

/** Owner writes, group reads. */
export const FOLDER_MODE = 0o750;

/** Some 100 bytes each; what is forgotten is only made sure of again. */
const KNOWN_MAX = 20_000;

/**
 * Makes names survive a power cut. A file whose bytes are on the disk is lost all the same when its folder is not, or
 * the folder's folder; so each level is synced once in a process, and the last one after each new name.
 *
 * Syncs of one folder are shared: those who ask while one is under way wait together for the next. It must be the next,
 * because the one under way may have begun before their name was there. Under load one sync carries dozens of names.
 */
export class DurableFolders {
  readonly #known = new Set<string>();
  readonly #making = new Map<string, Promise<void>>();
  readonly #running = new Map<string, Promise<void>>();
  readonly #next = new Map<string, Promise<void>>();

  /** `root` must exist; folders above it are not ours to sync. */
  constructor(readonly root: string) {
    this.#known.add(root);
  }

  /** Makes the folder and those between it and the root, each one durable under its parent. */
  ensure(folder: string): Promise<void> | undefined {
    if (this.#known.has(folder)) return undefined;
    const under = this.#making.get(folder);
    if (under !== undefined) return under;
    const making = this.#make(folder).finally(() => this.#making.delete(folder));
    this.#making.set(folder, making);
    return making;
  }

  async #make(folder: string): Promise<void> {
    const parent = dirname(folder);
    await this.ensure(parent);
    try {
      await mkdir(folder, { mode: FOLDER_MODE });
    } catch (error) {
      // Somebody else made it, but may have died before its name was synced: that is done here again.
      if (systemCode(error) !== 'EEXIST') throw error;
    }
    await this.sync(parent);
    if (this.#known.size >= KNOWN_MAX) {
      this.#known.clear();
      this.#known.add(this.root);
    }
    this.#known.add(folder);
  }

  /** Resolves when every name that was in the folder at the time of the call is on the disk. */
  sync(folder: string): Promise<void> {
    const next = this.#next.get(folder);
    if (next !== undefined) return next;
    const running = this.#running.get(folder);
    if (running === undefined) return this.#start(folder);
    const start = (): Promise<void> => {
      this.#next.delete(folder);
      return this.#start(folder);
    };
    // The failure of the one under way is told to those who wait for it; the next one is a trial of its own.
    const queued = running.then(start, start);
    this.#next.set(folder, queued);
    return queued;
  }

  #start(folder: string): Promise<void> {
    const running = syncFolder(folder).finally(() => this.#running.delete(folder));
    this.#running.set(folder, running);
    return running;
  }
}

export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
