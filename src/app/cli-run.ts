import type { Readable, Writable } from 'node:stream';
import type { ExitCode } from './exit-codes.js';
import type { Terminal } from './terminal.js';
import type { UnitTable } from './unit-table.js';

export interface CliOptions {
  readonly table: UnitTable;
  readonly stdout: Writable;
  readonly stderr: Writable;
  /** What is piped in; the process's own unless given. */
  readonly stdin?: Readable;
}

/** Carries a command out and remembers its exit code; a failure is told on the terminal. */
export type Run = <Flags extends object>(
  flags: Flags,
  command: (flags: Flags, terminal: Terminal) => Promise<ExitCode> | ExitCode,
) => Promise<void>;
