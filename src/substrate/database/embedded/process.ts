import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { nodeErrorCode } from '../node.errors.js';

/** A process that cannot be mistaken for another that got its number later. */
export interface ProcessIdentity {
  readonly pid: number;
  /** When the process was born, in the system's own words; compared, never read. */
  readonly born: string;
}

/** Every Linux has it; elsewhere `ps` is asked, which takes a few milliseconds longer. */
const PROC = '/proc/self/stat';

/** The birth of a live process; undefined when there is none, or only a dead one that waits to be collected. */
export function bornAt(pid: number): string | undefined {
  if (!existsSync(PROC)) return askPs('lstart=', pid);
  const text = readIfThere(`/proc/${pid}/stat`);
  // The second field is the program's name in brackets and may hold spaces and brackets: count from the last one.
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state] = fields ?? [];
  return state === undefined || state === 'Z' || state === 'X' ? undefined : fields?.[19];
}

/** The command line of a live process, arguments joined by spaces. */
export function commandOf(pid: number): string | undefined {
  if (!existsSync(PROC)) return askPs('command=', pid);
  return readIfThere(`/proc/${pid}/cmdline`)?.replaceAll('\0', ' ').trim();
}

export function identityOf(pid: number): ProcessIdentity | undefined {
  const born = bornAt(pid);
  return born === undefined ? undefined : { pid, born };
}

export function isAlive({ pid, born }: ProcessIdentity): boolean {
  return bornAt(pid) === born;
}

/** True when a process of this number exists, whoever owns it. */
export function isPidTaken(pid: number): boolean {
  return bornAt(pid) !== undefined;
}

/** `pid born` in one line, as it stands in lock files. */
export function formatIdentity({ pid, born }: ProcessIdentity): string {
  return `${pid} ${born}`;
}

export function parseIdentity(text: string): ProcessIdentity | undefined {
  const parts = /^(\d+) (.+)$/m.exec(text);
  return parts?.[2] === undefined ? undefined : { pid: Number(parts[1]), born: parts[2] };
}

/** Signals a process; it may have gone meanwhile. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (nodeErrorCode(error) !== 'ESRCH') throw error;
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // The process ended between two looks.
    return undefined;
  }
}

function askPs(column: string, pid: number): string | undefined {
  const answer = spawnSync('ps', ['-o', column, '-p', String(pid)], { encoding: 'utf8' }).stdout.trim();
  return answer === '' ? undefined : answer;
}
