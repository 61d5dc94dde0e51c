import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, readSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { ProbityError } from '../../../rails/errors/probity-error.js';
import type { Clock } from '../../clock/clock.port.js';
import type { Binaries } from './binaries.js';
import { spawnOptions } from './cluster.js';
import { explainServerText, passesByItself } from './explain.js';
import { explaining, give, writeDurably, type Layout } from './layout.js';
import { commandOf, identityOf, isPidTaken, type ProcessIdentity } from './process.js';
import { SERVER_SETTINGS } from './settings.js';

/** A live server of our cluster. */
export interface Postmaster {
  readonly identity: ProcessIdentity;
  readonly port: number;
}

/** Recovery after a crash replays at most about a gigabyte of log. */
const READY_WAIT_MS = 90_000;
/** Backends of a killed server go on until their statement ends, at most its time limit of ten seconds. */
const PASSING_WAIT_MS = 15_000;
const POLL_MS = 10;
const PORT_ATTEMPTS = 5;

interface PidFile {
  readonly pid: number;
  readonly port: number;
  readonly status: string;
}

function pidFilePath(layout: Layout): string {
  return join(layout.cluster, 'postmaster.pid');
}

/** The lines of postmaster.pid are: pid, folder, start time, port, socket folder, address, shared memory, status. */
function readPidFile(layout: Layout): PidFile | undefined {
  try {
    const lines = readFileSync(pidFilePath(layout), 'utf8').split('\n');
    return { pid: Number(lines[0]), port: Number(lines[3]), status: lines[7]?.trim() ?? '' };
  } catch {
    return undefined;
  }
}

/**
 * The server of this cluster, if it lives. A number in a left-over file may long belong to another program, so the command
 * line has to name this very cluster.
 */
export function livePostmaster(layout: Layout): (Postmaster & { readonly ready: boolean }) | undefined {
  const file = readPidFile(layout);
  if (file === undefined || !Number.isInteger(file.pid) || !isOurs(layout, file.pid)) return undefined;
  const identity = identityOf(file.pid);
  return identity === undefined ? undefined : { identity, port: file.port, ready: file.status === 'ready' };
}

function isOurs(layout: Layout, pid: number): boolean {
  return commandOf(pid)?.includes(`postgres -D ${layout.cluster} `) ?? false;
}

/**
 * Postgres takes its lock file for valid when any process has the number in it. Where that is provably not a server of this
 * cluster, the number is replaced by one that no process can have. The file itself stays: its shared memory key is how
 * Postgres finds out that workers of a killed server still write to the cluster, and without it both would.
 */
function disarmPidFile(layout: Layout): void {
  const file = readPidFile(layout);
  if (file === undefined || !isPidTaken(file.pid) || isOurs(layout, file.pid)) return;
  const lines = readFileSync(pidFilePath(layout), 'utf8').split('\n');
  writeFileSync(pidFilePath(layout), [String(2 ** 30), ...lines.slice(1)].join('\n'));
}

/** Waits until a live server takes connections. */
export async function untilReady(layout: Layout, clock: Clock, postmaster: Postmaster): Promise<void> {
  const deadlineMs = clock.monotonicMs() + READY_WAIT_MS;
  for (;;) {
    const live = livePostmaster(layout);
    if (live?.ready === true && live.identity.pid === postmaster.identity.pid) return;
    if (live === undefined)
      throw new ProbityError('DATABASE_START_FAILED', `the database ended while it started; see ${layout.logFile}`);
    if (clock.monotonicMs() > deadlineMs) {
      throw new ProbityError(
        'DATABASE_START_FAILED',
        `the database did not get ready within ${READY_WAIT_MS / 1000} s; see ${layout.logFile}`,
      );
    }
    await clock.sleep(POLL_MS);
  }
}

export interface StartOptions {
  /** The only port that will do; else the last one where it is free, else any. */
  readonly port?: number;
  readonly durable: boolean;
}

/** Starts the server in a session of its own, so that Ctrl-C and a closed terminal do not reach it. */
export async function startPostmaster(
  layout: Layout,
  binaries: Binaries,
  clock: Clock,
  options: StartOptions,
): Promise<Postmaster> {
  const deadlineMs = clock.monotonicMs() + PASSING_WAIT_MS;
  let port = options.port ?? lastPort(layout) ?? (await freePort());
  for (let attempt = 1; ;) {
    disarmPidFile(layout);
    const outcome = await tryStart(layout, binaries, clock, { port, durable: options.durable });
    if (!('said' in outcome)) {
      explaining(layout.folder, () => writeDurably(layout.portFile, `${port}\n`, 0o644));
      return outcome;
    }
    const taken = /Address already in use|could not bind/.test(outcome.said);
    if (taken && options.port === undefined && attempt < PORT_ATTEMPTS) {
      attempt += 1;
      port = await freePort();
    } else if (passesByItself(outcome.said) && clock.monotonicMs() < deadlineMs) {
      await clock.sleep(100);
    } else if (taken) {
      throw new ProbityError('DATABASE_START_FAILED', `port ${port} of the database is taken by another program`);
    } else {
      throw explainServerText(layout, outcome.said, `Postgres ended with ${outcome.code}`);
    }
  }
}

interface Refused {
  readonly said: string;
  readonly code: string;
}

async function tryStart(
  layout: Layout,
  binaries: Binaries,
  clock: Clock,
  { port, durable }: { readonly port: number; readonly durable: boolean },
): Promise<Postmaster | Refused> {
  const log = explaining(layout.folder, () => openLog(layout));
  const logStart = statSync(layout.logFile).size;
  let child: ChildProcess;
  try {
    child = spawn(
      join(binaries.home, 'bin', 'postgres'),
      ['-D', layout.cluster, '-p', String(port), ...settingArguments(durable)],
      {
        ...spawnOptions(layout.account, layout.home),
        detached: true,
        stdio: ['ignore', log, log],
      },
    );
  } finally {
    closeSync(log);
  }
  const ended = new AbortController();
  child.on('error', () => ended.abort());
  child.on('exit', () => ended.abort());
  child.unref();
  const deadlineMs = clock.monotonicMs() + READY_WAIT_MS;
  for (;;) {
    const live = livePostmaster(layout);
    if (live?.ready === true && live.identity.pid === child.pid) return { identity: live.identity, port };
    if (ended.signal.aborted) {
      return {
        said: readFrom(layout.logFile, logStart),
        code: String(child.exitCode ?? child.signalCode ?? 'no start'),
      };
    }
    if (clock.monotonicMs() > deadlineMs) {
      child.kill('SIGQUIT');
      return { said: readFrom(layout.logFile, logStart), code: `no readiness within ${READY_WAIT_MS / 1000} s` };
    }
    await clock.sleep(POLL_MS);
  }
}

function settingArguments(durable: boolean): readonly string[] {
  const settings = { ...SERVER_SETTINGS, ...(durable ? {} : { fsync: 'off' }) };
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

function openLog(layout: Layout): number {
  const fd = openSync(layout.logFile, 'a', 0o600);
  give(layout.logFile, layout.account);
  return fd;
}

function readFrom(path: string, start: number): string {
  const fd = openSync(path, 'r');
  try {
    const bytes = Buffer.alloc(16_384);
    const size = readSync(fd, bytes, 0, bytes.length, start);
    return bytes.toString('utf8', 0, size);
  } finally {
    closeSync(fd);
  }
}

function lastPort(layout: Layout): number | undefined {
  if (!existsSync(layout.portFile)) return undefined;
  const port = Number(readFileSync(layout.portFile, 'utf8'));
  return Number.isInteger(port) && port > 0 && port < 65_536 ? port : undefined;
}

/** A port that was free a moment ago; Postgres takes no port 0. */
async function freePort(): Promise<number> {
  const server = createServer();
  return await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        if (typeof address === 'object' && address !== null) resolve(address.port);
        else reject(new ProbityError('DATABASE_START_FAILED', 'the system gave no free port'));
      });
    });
  });
}
