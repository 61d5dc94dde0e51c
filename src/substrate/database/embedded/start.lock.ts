import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { ProbityError } from '../../../rails/errors/probity-error.js';
import type { Clock } from '../../clock/clock.port.js';
import { nodeErrorCode } from '../node.errors.js';
import { formatIdentity, identityOf, isAlive, parseIdentity } from './process.js';

/** First start: initdb on a slow disk; after a crash: recovery of up to a gigabyte of log. */
const WAIT_MS = 120_000;
const POLL_MS = 20;

/**
 * One process at a time looks after the server. The lock is a file that names its holder; a holder that was killed is
 * recognised by its number and birth, and its lock is taken from it.
 *
 * The taking is not perfectly atomic (a file system has no compare-and-delete): between reading a dead holder's name and
 * removing the file, microseconds apart, another taker could have replaced it. Two starters would then meet at Postgres' own
 * lock, which decides; so no data hangs on this one.
 */
export async function underStartLock<Result>(path: string, clock: Clock, work: () => Promise<Result>): Promise<Result> {
  const mine = `${path}.${randomUUID()}`;
  const self = identityOf(process.pid);
  if (self === undefined)
    throw new ProbityError('DATABASE_START_FAILED', 'the system does not tell when a process began');
  // Written whole before it gets the name that counts: nobody ever reads half a lock.
  writeFileSync(mine, `${formatIdentity(self)}\n`, { mode: 0o644 });
  try {
    const deadlineMs = clock.monotonicMs() + WAIT_MS;
    while (!take(mine, path)) {
      if (clock.monotonicMs() > deadlineMs) {
        throw new ProbityError('DATABASE_START_FAILED', `another process has held ${path} for ${WAIT_MS / 1000} s`);
      }
      await clock.sleep(POLL_MS);
    }
    try {
      return await work();
    } finally {
      rmSync(path, { force: true });
    }
  } finally {
    rmSync(mine, { force: true });
  }
}

function take(mine: string, path: string): boolean {
  try {
    linkSync(mine, path);
    return true;
  } catch (error) {
    if (nodeErrorCode(error) !== 'EEXIST') throw error;
  }
  const holder = readHolder(path);
  if (holder === 'gone') return false;
  if (holder === undefined || !isAlive(holder)) rmSync(path, { force: true });
  return false;
}

function readHolder(path: string): ReturnType<typeof parseIdentity> | 'gone' {
  try {
    return parseIdentity(readFileSync(path, 'utf8'));
  } catch (error) {
    if (nodeErrorCode(error) === 'ENOENT') return 'gone';
    throw error;
  }
}
