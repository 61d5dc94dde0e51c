import { spawn } from 'node:child_process';
import { demanded } from './kafka.js';

export interface FsckRun {
  readonly ok: boolean;
  readonly said: string;
}

const LIMIT_MS = 60_000;

/**
 * Checks an exported log with the checker of the ecosystem, `fsck` of Tessera, which knows nothing of this platform. It ends with 0 whatever it finds,
 * and with few workers it may wait for ever behind a fault: what counts is whether it says so.
 */
export async function fsck(folder: string, publicKeyFile: string): Promise<FsckRun> {
  const program = demanded('PROBITY_TEST_FSCK', "the path of Tessera's fsck");
  const words = ['--ui=false', '-N', '16', '--storage_url', `file://${folder}`, '--public_key', publicKeyFile];
  const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (piece: string) => (said += piece));
  const limit = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS);
  await new Promise((resolve) => child.once('close', resolve));
  clearTimeout(limit);
  return { ok: said.includes("Successfully fsck'd log") && !said.includes('fsck failed'), said: said.slice(0, 2_000) };
}
