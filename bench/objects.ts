import { mkdtemp, open, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { digestBytes } from '../src/rails/digest.js';
import { objectKey, type Ref } from '../src/rails/ref.js';
import { SystemClock } from '../src/substrate/clock/system.clock.js';
import { BINARY, noise } from '../src/substrate/objects/contract/kit.js';
import { FilesObjects } from '../src/substrate/objects/files.objects.js';
import { type Objects } from '../src/substrate/objects/objects.port.js';
import { type Bench, type BenchResult, measurePair } from './harness.js';

export const SIZES = [
  { label: '1 KB', bytes: 1_000, runs: 400 },
  { label: '100 KB', bytes: 100_000, runs: 300 },
  { label: '10 MB', bytes: 10_000_000, runs: 40 },
] as const;
export const WARMUPS = 10;
export const RATIO_GOAL = 1.3;

/**
 * The files adapter against `fs` alone, one call at a time. Each kind is measured twice: against a file that is written,
 * synced and renamed, or read; and against the same with what the adapter promises beyond it, which is a digest of the
 * bytes (law R4) and a sync of the folder, so that the name outlives a power cut. The first ratio is the price of the
 * promises, the second that of the adapter; the goal is for the second, where both do the same.
 */
export const bench: Bench = async (note) => {
  const folder = await mkdtemp(join(tmpdir(), 'probity-bench-objects-'));
  const store = await FilesObjects.open(join(folder, 'ours'), new SystemClock());
  const bare = new BareFiles(folder);
  note('files adapter; the folder is on the disk that holds the temporary files of this machine');
  try {
    const results: BenchResult[] = [];
    for (const { label, bytes: size, runs } of SIZES) {
      const bytes = noise(size);
      const put = putter(store, `files/${size}`, bytes);
      const { ref } = await put();
      const path = await bare.write(bytes, true);
      const plan = { runs, warmups: WARMUPS };
      results.push(
        await measurePair({ ...plan, name: `put ${label}`, ours: put, bare: () => bare.write(bytes, false) }),
        await measurePair({
          ...plan,
          name: `put ${label}, bare hashes and syncs its folder`,
          ours: put,
          bare: () => Promise.resolve(digestBytes(bytes)).then(() => bare.write(bytes, true)),
          ratioGoal: RATIO_GOAL,
        }),
        await measurePair({ ...plan, name: `get ${label}`, ours: () => store.read(ref), bare: () => readFile(path) }),
        await measurePair({
          ...plan,
          name: `get ${label}, bare hashes`,
          ours: () => store.read(ref),
          bare: async () => digestBytes(await readFile(path)),
          ratioGoal: RATIO_GOAL,
        }),
      );
    }
    return results;
  } finally {
    await store.close();
    await rm(folder, { recursive: true });
  }
};

/** What one writes with `fs` alone; it overwrites what stands, so it promises less than a put. */
class BareFiles {
  #count = 0;

  constructor(readonly folder: string) {}

  async write(bytes: Buffer, syncFolder: boolean): Promise<string> {
    this.#count += 1;
    const path = join(this.folder, `bare-${this.#count}`);
    const handle = await open(`${path}.tmp`, 'w');
    await handle.writeFile(bytes);
    await handle.sync();
    await handle.close();
    await rename(`${path}.tmp`, path);
    if (syncFolder) {
      const parent = await open(this.folder, 'r');
      await parent.sync();
      await parent.close();
    }
    return path;
  }
}

/** A new key with each call. */
export function putter(store: Objects, prefix: string, bytes: Buffer): () => Promise<{ readonly ref: Ref }> {
  let count = 0;
  return async () => {
    count += 1;
    const result = await store.putIfAbsent(objectKey(`bench/${prefix}/${count}`), bytes, BINARY);
    if (result.outcome !== 'NEW') throw new Error(`a put of the benchmark was ${result.outcome}`);
    return result;
  };
}
