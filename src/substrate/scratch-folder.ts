import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** No work goes so long without a new file. */
const ABANDONED_MS = 86_400_000;

/** A folder for the files of one piece of a unit's work. Processes and threads share them, so they need names; whoever removes it is told. */
export async function openScratchFolder(unit: string, nowMs: number): Promise<string> {
  const prefix = `probity-${unit}-`;
  await sweep(prefix, nowMs);
  return await mkdtemp(join(tmpdir(), prefix));
}

/** What processes left that were killed: nobody else would ever take it away. */
async function sweep(prefix: string, nowMs: number): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(prefix)) continue;
    const folder = join(tmpdir(), name);
    const found = await stat(folder).catch(() => undefined);
    if (found !== undefined && nowMs - found.mtimeMs > ABANDONED_MS) await rm(folder, { recursive: true, force: true });
  }
}
