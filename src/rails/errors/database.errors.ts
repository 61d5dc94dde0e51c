import { defineErrors } from './error.js';

export const DATABASE_ERRORS = defineErrors({
  DATABASE_UNAVAILABLE: {
    status: 503,
    retryable: true,
    title: 'The database does not answer, or the connection broke before the transaction committed.',
    remedy: 'Retry with backoff; check the database with `probity doctor`.',
  },
  DATABASE_COMMIT_UNKNOWN: {
    status: 503,
    retryable: false,
    title: 'The connection broke while the transaction was committing, so it may stand or not.',
    remedy: 'Read back by identity before doing it again.',
  },
  DATABASE_TIMEOUT: {
    status: 503,
    retryable: true,
    title: 'A statement or a wait for a lock took longer than its limit, and the transaction was rolled back.',
    remedy: 'Retry with backoff; if it stays, look for the statement that holds the lock.',
  },
  DATABASE_SERIALIZATION: {
    status: 503,
    retryable: true,
    title: 'Two transactions collided and this one was rolled back.',
    remedy: 'Retry the transaction.',
  },
  DATABASE_FORBIDDEN: {
    status: 403,
    retryable: false,
    title: 'The database role has no right to this statement.',
    remedy: 'A unit reads and writes its own schema only; ask the owner of the data through its port.',
  },
  DATABASE_APPEND_ONLY: {
    status: 409,
    retryable: false,
    title: 'The table is append-only: rows are never updated, deleted or truncated.',
    remedy: 'Write a new fact that supersedes the old one.',
  },
  DATABASE_CONSTRAINT: {
    status: 409,
    retryable: false,
    title: 'The database refused a row that breaks one of its constraints.',
    remedy: 'Correct the data; the constraint is named in the detail.',
  },
  DATABASE_LOGIN_REFUSED: {
    status: 503,
    retryable: false,
    title: 'The database does not let this program in: role, password or database is not known there.',
    remedy:
      'Check the database address and the role secret; where the database was never migrated, or after a change of the secret, run `probity migrate` with the credentials of an administrator.',
  },
  DATABASE_FULL: {
    status: 507,
    retryable: true,
    title: 'The database has no room left, and the transaction was rolled back.',
    remedy: 'Free or add space on the disk of the database, then retry.',
  },
  DATABASE_DAMAGED: {
    status: 500,
    retryable: false,
    title: 'The database found damaged data on its disk.',
    remedy: 'Stop writing, keep the disk as evidence and restore from a copy.',
  },
  DATABASE_MIGRATION_INVALID: {
    status: 500,
    retryable: false,
    title: 'A migration cannot be read or run, and nothing of it stands in the database.',
    remedy: 'Correct the file at the place that the detail names.',
  },
  DATABASE_STATEMENT_INVALID: {
    status: 500,
    retryable: false,
    title: 'The database could not run a statement of the program.',
    remedy: 'This is a defect of the program: report it with the detail.',
  },
  DATABASE_MIGRATION_CHANGED: {
    status: 500,
    retryable: false,
    title: 'A migration that was applied earlier has since been edited.',
    remedy: 'Restore the file as it was applied and write the change as a new migration.',
  },
  DATABASE_SCHEMA_BEHIND: {
    status: 503,
    retryable: false,
    title: 'The database lacks migrations that this program needs.',
    remedy: 'Run `probity migrate` with the credentials of the migration owner.',
  },
  DATABASE_SCHEMA_AHEAD: {
    status: 503,
    retryable: false,
    title: 'The database has migrations that this program does not know.',
    remedy: 'Run the newer program: migrations only go forward.',
  },
  DATABASE_START_FAILED: {
    status: 503,
    retryable: false,
    title: 'The embedded database could not be started.',
    remedy: 'The detail names the cause; `probity doctor` checks the data folder.',
  },
  DATABASE_DATA_VERSION: {
    status: 503,
    retryable: false,
    title: 'The data folder was made by another major version of the database.',
    remedy: 'Use the program that made it, or another data folder.',
  },
});
