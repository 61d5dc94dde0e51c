import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { runCli } from '../../src/app/cli.js';
import type { ExitCode } from '../../src/app/exit-codes.js';
import type { UnitTable } from '../../src/app/unit-table.js';
import { UNITS } from '../../src/app/units.js';

export interface CliRun {
  readonly code: ExitCode;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command in this process, as `bin/probity` would, and gives what it printed. */
export async function cli(words: readonly string[], table: UnitTable = UNITS, stdin = ''): Promise<CliRun> {
  return await cliWith(words, table, Readable.from(stdin === '' ? [] : [Buffer.from(stdin)]));
}

/** The same with a standard input of the test's own making. */
export async function cliWith(words: readonly string[], table: UnitTable, stdin: Readable): Promise<CliRun> {
  const [stdout, stderr] = [new Captured(), new Captured()];
  const code = await runCli(words, { table, stdout, stderr, stdin });
  return { code, stdout: stdout.text, stderr: stderr.text };
}

export class Captured extends Writable {
  text = '';

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.text += chunk.toString('utf8');
    done();
  }
}

/** Runs a command as a process of its own, compiled by `npm run build:test`: for one that runs many roles for minutes. */
export async function cliProcess(words: readonly string[]): Promise<CliRun> {
  // Jest's own switches are not for the program.
  const { NODE_OPTIONS: _, ...env } = process.env;
  const child = spawn(process.execPath, [join(process.cwd(), '.build/src/main.js'), ...words], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr] = [new Captured(), new Captured()];
  child.stdout.pipe(stdout);
  child.stderr.pipe(stderr);
  const [code] = (await once(child, 'close')) as [number];
  return { code: code as ExitCode, stdout: stdout.text, stderr: stderr.text };
}
