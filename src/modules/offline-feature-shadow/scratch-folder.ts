import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PREFIX = 'probity-ofs-';
/** No build goes so long without a new file. */
const ABANDONED_MS = 86_400_000;

/** A folder for the files of one build. Several processes share them, so they need names; whoever removes it is told. */
export async function openScratchFolder(nowMs: number): Promise<string> {
  await sweep(nowMs);
  return await mkdtemp(join(tmpdir(), PREFIX));
}

/** What processes left that were killed: nobody else would ever take it away. */
async function sweep(nowMs: number): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(PREFIX)) continue;
    const folder = join(tmpdir(), name);
    const found = await stat(folder).catch(() => undefined);
    if (found !== undefined && nowMs - found.mtimeMs > ABANDONED_MS) await rm(folder, { recursive: true, force: true });
  }
}
