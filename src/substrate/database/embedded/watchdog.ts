import { spawn, spawnSync } from 'node:child_process';
import {
  closeSync,
  constants,
  existsSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { ProbityError } from '../../../rails/errors/probity-error.js';
import type { Clock } from '../../clock/clock.port.js';
import { nodeErrorCode } from '../node.errors.js';
import { spawnOptions } from './cluster.js';
import { explaining, give, type Layout } from './layout.js';
import { formatIdentity, identityOf, isAlive, parseIdentity, signal, type ProcessIdentity } from './process.js';

/**
 * Who stops the server when its last user is gone, however it went. The kernel keeps count: every member holds the FIFO
 * `members` open for writing, and a reader gets the end of the file when the last writer has closed it or died. The reader
 * is this script, in a session of its own, with nothing to do but to wait.
 *
 *     spawned --a line: the starter has written down who watches--> watching; end of file: the starter died first --> gone
 *     watching --end of file--> closing: the FIFO is renamed, so nobody can join
 *        ^                         |
 *        +--somebody had joined----+--nobody had--> stopping: INT (fast), after 4 s QUIT (immediate) --> gone
 *
 * A watchdog that nobody has written down must not act: the next starter does not know that it has to wait for it, and it
 * would rename that one's FIFO and stop that one's server.
 *
 * Somebody may open the FIFO between the end of the file and the renaming. Members write a line when they join and then
 * once a second, so a second read tells: a line means somebody, the end of the file nobody.
 *
 * The number in postmaster.pid may be left over and belong to a stranger by now; only a command line that names this
 * cluster is signalled.
 */
const SCRIPT = `#!/bin/sh
trap '' HUP INT
command_of() {
  if [ -r "/proc/$1/cmdline" ]; then tr '\\0' ' ' <"/proc/$1/cmdline"; else ps -o command= -p "$1"; fi 2>/dev/null
}
server() {
  pid=$(head -n 1 cluster/postmaster.pid 2>/dev/null) || return 1
  case $(command_of "$pid") in *"postgres -D $1/cluster "*) return 0 ;; esac
  return 1
}
read -r _ || exit 0
while :; do
  while read -r _; do :; done
  mv members members.closing 2>/dev/null || exit 0
  read -r _ || break
  mv members.closing members
done
exec </dev/null
rm -f members.closing
# A starter that was killed may have left a server that has not written its number yet.
tries=0
until server "$1"; do
  tries=$((tries + 1))
  [ "$tries" -gt "$2" ] && exit 0
  sleep 0.1
done
kill -INT "$pid"
tries=0
while server "$1"; do
  tries=$((tries + 1))
  [ "$tries" -eq 40 ] && kill -QUIT "$pid"
  [ "$tries" -gt 100 ] && exit 1
  sleep 0.1
done
`;

/** Tenths of a second that a server may take from its start to writing its number down. */
const START_TRIES = '30';
/** Longest stop of a watchdog: 4 s until QUIT, 6 s more; after that it has given up by itself. */
const CLOSING_WAIT_MS = 12_000;

/** This process's hold on the server. */
export class Membership {
  readonly #fd: number;
  #left = false;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Tells the watchdog that somebody is here. False when no watchdog reads any more. */
  beat(): boolean {
    if (this.#left) return true;
    try {
      writeSync(this.#fd, '\n');
      return true;
    } catch (error) {
      // EAGAIN: 64 KiB of beats lie unread, so a watchdog is there and only stopped for a while.
      return nodeErrorCode(error) === 'EAGAIN';
    }
  }

  leave(): void {
    if (this.#left) return;
    this.#left = true;
    closeSync(this.#fd);
  }
}

/** Becomes a member of the running watchdog, or starts one. Call it under the start lock. */
export async function joinWatchdog(layout: Layout, clock: Clock): Promise<Membership> {
  const joined = tryJoin(layout);
  if (joined !== undefined) return joined;
  await untilOldWatchdogIsGone(layout, clock);
  return startWatchdog(layout);
}

function tryJoin({ members }: Layout): Membership | undefined {
  let fd: number;
  try {
    fd = openSync(members, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch (error) {
    // ENXIO: nobody reads it. ENOENT: there is none, or it is being closed.
    if (['ENXIO', 'ENOENT'].includes(nodeErrorCode(error) ?? '')) return undefined;
    throw new ProbityError(
      'CONFIG_DATA_FOLDER',
      `${members} cannot be opened: ${nodeErrorCode(error) ?? 'no reason given'}`,
    );
  }
  const membership = new Membership(fd);
  // The FIFO may have been opened in the moment before its reader ended.
  if (membership.beat()) return membership;
  membership.leave();
  return undefined;
}

/** The watchdog of this cluster that runs, or ran last. */
export function recordedWatchdog({ watchdogFile }: Layout): ProcessIdentity | undefined {
  return existsSync(watchdogFile) ? parseIdentity(readFileSync(watchdogFile, 'utf8')) : undefined;
}

/** A watchdog that is stopping its server must not stop ours: it is waited for, and ended if it does not end. */
async function untilOldWatchdogIsGone(layout: Layout, clock: Clock): Promise<void> {
  const old = recordedWatchdog(layout);
  if (old === undefined) return;
  const deadlineMs = clock.monotonicMs() + CLOSING_WAIT_MS;
  while (isAlive(old)) {
    if (clock.monotonicMs() > deadlineMs) signal(old.pid, 'SIGKILL');
    await clock.sleep(20);
  }
}

/**
 * The starter opens the FIFO itself and hands the reading end over, so there is no moment in which a server could run
 * unwatched: should the starter die at any point behind the first beat, the watchdog's next read is the end of the file; before
 * it, no server of this starter runs.
 */
function startWatchdog(layout: Layout): Membership {
  return explaining(layout.folder, () => {
    const script = join(layout.home, 'watchdog.sh');
    writeFileSync(script, SCRIPT, { mode: 0o644 });
    for (const left of [layout.members, `${layout.members}.closing`]) rmSync(left, { force: true });
    makeFifo(layout);
    // Opened for both, because a FIFO opened for reading alone waits for a writer, and without waiting (O_NONBLOCK) the
    // shell that inherits it could not wait either.
    const both = openSync(layout.members, constants.O_RDWR);
    const reader = openSync(layout.members, constants.O_RDONLY);
    const writer = openSync(layout.members, constants.O_WRONLY | constants.O_NONBLOCK);
    try {
      const child = spawn('/bin/sh', [script, layout.home, START_TRIES], {
        ...spawnOptions(layout.account, layout.home),
        detached: true,
        stdio: [reader, 'ignore', 'ignore'],
      });
      child.on('error', () => undefined);
      const identity = child.pid === undefined ? undefined : identityOf(child.pid);
      if (identity === undefined) throw new ProbityError('DATABASE_START_FAILED', '/bin/sh cannot be started');
      child.unref();
      writeFileSync(layout.watchdogFile, `${formatIdentity(identity)}\n`, { mode: 0o644 });
      writeSync(writer, '\n');
    } catch (error) {
      closeSync(writer);
      throw error;
    } finally {
      closeSync(both);
      closeSync(reader);
    }
    return new Membership(writer);
  });
}

function makeFifo(layout: Layout): void {
  const made = spawnSync('mkfifo', ['-m', '600', layout.members], { encoding: 'utf8', cwd: '/' });
  if (made.status !== 0) {
    throw new ProbityError('DATABASE_START_FAILED', `${layout.members} cannot be made: ${made.stderr.trim()}`);
  }
  give(layout.members, layout.account);
  if (!statSync(layout.members).isFIFO())
    throw new ProbityError('DATABASE_START_FAILED', `${layout.members} is no FIFO`);
}
