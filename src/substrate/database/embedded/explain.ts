import { ProbityError } from '../../../rails/errors/probity-error.js';
import type { Layout } from './layout.js';

/** One clear sentence for what the server's programs write when they do not start. */
export function explainServerText({ folder, logFile }: Layout, text: string, otherwise: string): ProbityError {
  const start = (detail: string): ProbityError => new ProbityError('DATABASE_START_FAILED', detail);
  if (/No space left on device|Disk quota exceeded|File too large/.test(text)) {
    return start(`the disk or quota that holds ${folder} is full`);
  }
  if (/Address already in use|could not bind/.test(text))
    return start('the port of the database is taken by another program');
  if (/Read-only file system/.test(text)) return start(`${folder} lies on a read-only file system`);
  if (/Permission denied|Operation not permitted/.test(text)) {
    return start(`the user that runs the database may not write to ${folder}`);
  }
  if (/database files are incompatible with server|initialized by PostgreSQL version/.test(text)) {
    return new ProbityError('DATABASE_DATA_VERSION', `${folder} was made by another version of Postgres`);
  }
  if (/could not create shared memory|could not map anonymous shared memory/.test(text)) {
    return start('the system gives the database no shared memory');
  }
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const word = lines.findLast((line) => /FATAL|PANIC|error:/.test(line)) ?? lines.at(-1);
  return start(
    word === undefined
      ? `${otherwise}, without a word in ${logFile}`
      : `the database said: ${word.trim()} (more in ${logFile})`,
  );
}

/** What passes by itself: the backends of a killed server still hold its memory, or its lock file is being removed. */
export function passesByItself(text: string): boolean {
  return /is still in use|lock file "postmaster\.pid" already exists|the database system is shutting down/.test(text);
}
