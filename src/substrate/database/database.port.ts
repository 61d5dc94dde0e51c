import type { Brand } from '../../rails/brand.js';
import type { Health } from '../health.js';

/** A Postgres schema that one unit owns: `label_store`, `registry`, `bus` … Lower-case letters, digits, underscore. */
export type SchemaName = Brand<string, 'SchemaName'>;

/**
 * A statement of the program. The text is a constant; values travel beside it, never inside it. A statement with a
 * name is prepared once per connection, which is what hot paths want.
 */
export interface Statement {
  readonly name?: string;
  readonly text: string;
  /**
   * Declares that the text writes nothing, so that a lost answer of `Database.query` is DATABASE_UNAVAILABLE and may be
   * retried. Without it a lost answer is DATABASE_COMMIT_UNKNOWN: a `select` may call a function that writes.
   */
  readonly readOnly?: true;
}

export interface Rows<Row> {
  readonly rows: readonly Row[];
  /** Rows returned or, where nothing is returned, rows affected. */
  readonly count: number;
}

export interface Queryable {
  /** @throws ProbityError with a DATABASE_ code; driver errors never escape. */
  query<Row = Record<string, unknown>>(statement: string | Statement, values?: readonly unknown[]): Promise<Rows<Row>>;
}

/**
 * One transaction on one connection. It commits when the work resolves and rolls back when it rejects.
 * Statements of one transaction run one after the other.
 */
export interface Transaction extends Queryable {
  /** The schema on whose behalf it runs. */
  readonly schema: SchemaName;
  /** Runs after a successful commit, never otherwise: wake-ups, metrics. A hook must not throw and is not awaited. */
  afterCommit(hook: () => void): void;
}

export interface TransactionOptions {
  readonly isolation?: 'read committed' | 'repeatable read' | 'serializable';
  readonly readOnly?: boolean;
  /** Overrides of the profile's limits for this transaction. */
  readonly statementTimeoutMs?: number;
  readonly lockTimeoutMs?: number;
}

/** A connection kept for itself: LISTEN, session locks, cursors. Who opens one closes it. */
export interface Session extends Queryable {
  /** The server's process id of this connection. */
  readonly backendPid: number;
  listen(channel: string, onNotify: (payload: string) => void): Promise<void>;
  /** Fires once, when the connection is gone for whatever reason; its locks are then gone, too. */
  readonly closed: AbortSignal;
  close(): Promise<void>;
}

/** The database as one schema's owner sees it: logged in as that schema's own role, rights on that schema alone. */
export abstract class Database implements Queryable {
  abstract readonly schema: SchemaName;
  abstract query<Row = Record<string, unknown>>(
    statement: string | Statement,
    values?: readonly unknown[],
  ): Promise<Rows<Row>>;
  abstract transaction<Result>(
    work: (transaction: Transaction) => Promise<Result>,
    options?: TransactionOptions,
  ): Promise<Result>;
  abstract session(): Promise<Session>;
}

export interface AppliedMigration {
  readonly schema: SchemaName;
  readonly name: string;
}

export interface MigrationReport {
  /** What this call applied, in order; empty when the database was up to date. */
  readonly applied: readonly AppliedMigration[];
  /** What the database now has. */
  readonly total: number;
}

/** The substrate itself: gives each schema its own door, migrates all, and says how it is. */
export abstract class DatabaseServer {
  /** The door of one schema. The same object on each call. Connections are opened when first used. */
  abstract forSchema(schema: SchemaName): Database;

  /**
   * Brings the named schemas up to date, forward only; makes schema, role and rights where they are missing.
   * Safe when several processes call it at once: one works, the others wait and then find nothing to do.
   */
  abstract migrate(schemas: readonly SchemaName[]): Promise<MigrationReport>;

  /** Refuses to go on when the named schemas are behind or ahead of this program; changes nothing. */
  abstract verify(schemas: readonly SchemaName[]): Promise<void>;

  abstract health(): Promise<Health>;

  /** Waits for running transactions up to the limit, then closes all connections (and, embedded, leaves the server). */
  abstract close(limitMs: number): Promise<void>;
}
