import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { bornAt, commandOf } from '../../src/substrate/database/embedded/process.js';
import { eventually } from './eventually.js';

/** What a member process said first. */
export interface MemberWord {
  readonly how?: 'started' | 'joined';
  readonly port?: number;
  readonly postmasterPid?: number;
  readonly tookMs?: number;
  readonly code?: string;
  readonly detail?: string;
}

export interface MemberOptions {
  readonly port?: number;
  /** Runs as this OS user; only root can ask for it. */
  readonly uid?: number;
  /** A shell's limit on the size of files, in blocks of 512 bytes. */
  readonly fileBlocksMax?: number;
}

const PROGRAM = resolve('.build/test/support/database-member.js');

/** A process that shares the embedded server of a folder. Compile first: `npm run build:test`. */
export class Member {
  readonly child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(folder: string, { port, uid, fileBlocksMax }: MemberOptions = {}) {
    const args = [PROGRAM, folder, ...(port === undefined ? [] : [String(port)])];
    const limit = fileBlocksMax === undefined ? '' : `ulimit -f ${fileBlocksMax}; `;
    this.child = spawn('/bin/sh', ['-c', `${limit}exec "$@"`, 'sh', process.execPath, ...args], {
      cwd: '/',
      stdio: ['pipe', 'pipe', 'inherit'],
      // A process group of its own, as a shell gives each command; Ctrl-C goes to the whole group.
      detached: true,
      ...(uid === undefined ? {} : { uid, gid: uid }),
    });
    const { stdout } = this.child;
    if (stdout === null) throw new Error('the child has no output');
    this.#lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  }

  /** Its next word: the first says how it got in or why not. */
  async word(): Promise<MemberWord & { readonly ok?: boolean }> {
    const line = await this.#lines.next();
    if (line.done === true) throw new Error('the member said no more');
    return JSON.parse(line.value) as MemberWord; // The member is our own program.
  }

  /** Whether a query through its pool is answered now. */
  async works(): Promise<boolean> {
    this.child.stdin?.write('?\n');
    return (await this.word()).ok ?? false;
  }

  async leave(): Promise<number | null> {
    this.child.stdin?.end();
    return await this.#ended();
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.#ended();
  }

  /** Ctrl-C in its terminal: the member does not handle it, and ends at once. */
  async interrupt(): Promise<void> {
    if (this.child.pid !== undefined) process.kill(-this.child.pid, 'SIGINT');
    await this.#ended();
  }

  async #ended(): Promise<number | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, 'exit');
    return this.child.exitCode;
  }
}

/** A data folder with a space in its name, in the temporary folder, which any user may enter. */
export async function newDataFolder(): Promise<{ readonly folder: string; readonly remove: () => Promise<void> }> {
  const root = await mkdtemp(join(tmpdir(), 'probity fault '));
  await chmod(root, 0o777);
  const folder = join(root, 'postgres');
  return {
    folder,
    async remove() {
      await untilNobodyRuns(folder);
      await rm(root, { recursive: true, force: true });
    },
  };
}

export function readPid(folder: string): number {
  return Number(readFileSync(join(folder, 'home', 'cluster', 'postmaster.pid'), 'utf8').split('\n')[0]);
}

export function watchdogPid(folder: string): number {
  return Number(readFileSync(join(folder, 'home', 'watchdog'), 'utf8').split(' ')[0]);
}

/** True while the folder's server or its watchdog lives. */
export function isRunning(folder: string): boolean {
  return isServer(folder) || isWatchdog(folder);
}

export function isServer(folder: string): boolean {
  const file = join(folder, 'home', 'cluster', 'postmaster.pid');
  if (!existsSync(file)) return false;
  const pid = readPid(folder);
  return Number.isInteger(pid) && (commandOf(pid)?.includes('postgres -D') ?? false);
}

function isWatchdog(folder: string): boolean {
  const file = join(folder, 'home', 'watchdog');
  return existsSync(file) && (commandOf(watchdogPid(folder))?.includes('watchdog.sh') ?? false);
}

export async function untilNobodyRuns(folder: string, limitMs = 20_000): Promise<void> {
  await eventually(() => !isRunning(folder), Boolean, limitMs);
}

export async function untilDead(pid: number, limitMs = 5_000): Promise<void> {
  await eventually(() => bornAt(pid) === undefined, Boolean, limitMs);
}
