import { Writable } from 'node:stream';
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
export async function cli(words: readonly string[], table: UnitTable = UNITS): Promise<CliRun> {
  const [stdout, stderr] = [new Captured(), new Captured()];
  const code = await runCli(words, { table, stdout, stderr });
  return { code, stdout: stdout.text, stderr: stderr.text };
}

export class Captured extends Writable {
  text = '';

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.text += chunk.toString('utf8');
    done();
  }
}
