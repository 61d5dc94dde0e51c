import * as real from 'node:fs/promises';

/** One call that changes the disk, in the order in which the calls succeeded. */
export type DiskEvent =
  | { readonly call: 'write' | 'sync'; readonly path: string }
  | { readonly call: 'link'; readonly path: string; readonly from: string }
  | { readonly call: 'mkdir'; readonly path: string };

export interface DiskFault {
  readonly code: string;
  /** The call was carried out all the same. */
  readonly done?: boolean;
}

/**
 * `node:fs/promises` that keeps a record and can be told to fail: what a power cut would leave is read from the record,
 * because no test can cut the power. `fail` decides for each call, named and numbered from 0, whether it fails and how.
 */
export class WatchedDisk {
  readonly events: DiskEvent[] = [];
  fail: (call: string, index: number) => DiskFault | null = () => null;
  #calls = 0;
  #open = 0;

  /** Files and folders that were opened and not closed: a garbage collector would hide them from the system's count. */
  get open(): number {
    return this.#open;
  }

  /** How many calls there were, so that a test can fail each of them in turn. */
  get calls(): number {
    return this.#calls;
  }

  reset(): void {
    this.events.length = 0;
    this.#calls = 0;
    this.fail = () => null;
  }

  /** The module as the adapter imports it. */
  module(): typeof real {
    return {
      ...real,
      open: async (path, ...rest) => this.#watched(await this.#try('open', () => real.open(path, ...rest)), path),
      link: async (from, path) => {
        await this.#try('link', () => real.link(from, path));
        this.events.push({ call: 'link', path: String(path), from: String(from) });
      },
      // Only the form that the adapter uses on its hot path: one level, no result.
      mkdir: (async (path: string, options: Parameters<typeof real.mkdir>[1]) => {
        const made = await this.#try('mkdir', () => real.mkdir(path, options));
        this.events.push({ call: 'mkdir', path });
        return made;
      }) as typeof real.mkdir,
    };
  }

  async #try<T>(call: string, perform: () => Promise<T>): Promise<T> {
    const fault = this.fail(call, this.#calls);
    this.#calls += 1;
    if (fault === null) return perform();
    if (fault.done === true) await perform();
    throw Object.assign(new Error(`${fault.code}: injected at ${call}`), { code: fault.code });
  }

  /** The handle with its `write` and `sync` recorded; everything else is the handle's own. */
  #watched(handle: real.FileHandle, opened: unknown): real.FileHandle {
    const path = String(opened);
    const [write, sync, close] = [handle.write.bind(handle), handle.sync.bind(handle), handle.close.bind(handle)];
    this.#open += 1;
    return Object.assign(handle, {
      close: async () => {
        this.#open -= 1;
        await close();
      },
      write: async (...given: Parameters<typeof handle.write>) => {
        const result = await this.#try('write', () => write(...given));
        this.events.push({ call: 'write', path });
        return result;
      },
      sync: async () => {
        await this.#try('sync', () => sync());
        this.events.push({ call: 'sync', path });
      },
    });
  }
}
