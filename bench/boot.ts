import { spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { scratchDataFolder } from '../test/support/data-folder.js';
import { type Bench, type SingleResult, timingOf } from './harness.js';

/** Starts of the real program on a folder that has been used before, and on new ones; each ends before the next begins. */
const RUNS = 10;

interface Started {
  readonly readyMs: number;
  readonly residentBytes: number;
}

/** From the start of Node to the line that says "ready", as a user waits for it; then the process is told to stop. */
async function startAndStop(data: string): Promise<Started> {
  const startedMs = performance.now();
  const child = spawn(process.execPath, ['bin/probity', 'serve', '--data', data, '--port', '0', '--json'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  let answer = '';
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (piece: Buffer) => {
      answer += piece.toString('utf8');
      if (answer.includes('"took_ms"')) resolve();
    });
    void ended.then((code) => reject(new Error(`the program ended with ${String(code)} before it was ready`)));
  });
  const readyMs = performance.now() - startedMs;
  const residentBytes = residentOf(child.pid ?? 0);
  child.kill('SIGTERM');
  const code = await ended;
  if (code !== 0) throw new Error(`the program stopped with ${String(code)}`);
  return { readyMs, residentBytes };
}

/** VmRSS of /proc, in bytes: what the process holds in memory just after it became ready. */
function residentOf(pid: number): number {
  const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kib) * 1024;
}

async function startsOf(
  name: string,
  folderOf: (run: number) => string,
): Promise<SingleResult & { readonly starts: readonly Started[] }> {
  const starts: Started[] = [];
  for (let run = 0; run < RUNS; run += 1) starts.push(await startAndStop(folderOf(run)));
  return { name, timing: timingOf(starts.map(({ readyMs }) => readyMs)), starts };
}

export const bench: Bench = async (note) => {
  const root = scratchDataFolder('bench boot');
  try {
    const fresh = await startsOf('start to ready: new data folder', (run) => join(root, `new-${run}`));
    const existing = await startsOf('start to ready: existing data folder', () => join(root, 'new-0'));
    const resident = existing.starts.map(({ residentBytes }) => residentBytes).sort((a, b) => a - b);
    const median = resident[Math.floor(resident.length / 2)] ?? 0;
    note(
      `resident memory of the Node process when ready: median ${(median / 1024 / 1024).toFixed(0)} MiB of ${RUNS} starts`,
    );
    return [existing, fresh].map(({ name, timing }) => ({ name, timing }));
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
};
