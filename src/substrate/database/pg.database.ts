import pg from 'pg';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import {
  Database,
  type Rows,
  type SchemaName,
  type Session,
  type Statement,
  type Transaction,
  type TransactionOptions,
} from './database.port.js';
import { run } from './pg.client.js';
import { toDatabaseError } from './pg.errors.js';
import { PgSession } from './pg.session.js';
import { PgTransaction } from './pg.transaction.js';

export interface PgDatabaseOptions {
  readonly schema: SchemaName;
  /** Login, limits and names of every connection; see `pgConfig`. */
  readonly config: pg.ClientConfig;
  /** Most connections of the pool; sessions come on top. */
  readonly connectionsMax: number;
  /** An unused connection is closed after this; the server keeps about 2 MB for each. */
  readonly idleTimeoutMs: number;
  /** What a hook of `afterCommit` threw although it must not. */
  readonly onHookFault: (fault: unknown) => void;
}

/** One schema's door over a pool of connections under that schema's own role. */
export class PgDatabase extends Database {
  readonly schema: SchemaName;
  readonly #options: PgDatabaseOptions;
  readonly #pool: pg.Pool;
  readonly #clients = new Set<pg.PoolClient>();
  /** Connections that have served before: only these can have died unnoticed between two uses. */
  readonly #used = new WeakSet<pg.ClientBase>();
  readonly #sessions = new Set<Session>();
  #closing: Promise<void> | undefined;

  constructor(options: PgDatabaseOptions) {
    super();
    this.schema = options.schema;
    this.#options = options;
    this.#pool = new pg.Pool({
      ...options.config,
      max: options.connectionsMax,
      idleTimeoutMillis: options.idleTimeoutMs,
    });
    // An unused connection that the server ends is no news: the pool forgets it and opens another when one is wanted.
    this.#pool.on('error', () => undefined);
    this.#pool.on('connect', (client) => {
      this.#clients.add(client);
      // While a connection is out of the pool nobody else listens; its loss would be an uncaught exception and end the
      // process. The statement in flight is told by its own rejection.
      client.on('error', () => undefined);
    });
    this.#pool.on('remove', (client) => this.#clients.delete(client));
  }

  async query<Row = Record<string, unknown>>(
    statement: string | Statement,
    values?: readonly unknown[],
  ): Promise<Rows<Row>> {
    const client = await this.#connect();
    const readOnly = typeof statement === 'object' && statement.readOnly === true;
    return await this.#using(client, () =>
      run<Row>(client, statement, values, { phase: 'autocommit', schema: this.schema, readOnly }),
    );
  }

  async transaction<Result>(
    work: (transaction: Transaction) => Promise<Result>,
    options: TransactionOptions = {},
  ): Promise<Result> {
    const [client, transaction] = await this.#begin(options);
    const result = await this.#using(client, async () => {
      try {
        const value = await work(transaction);
        await transaction.seal();
        await transaction.commit();
        return value;
      } catch (fault) {
        await transaction.seal();
        if (!isLoss(fault) && client.getTransactionStatus() !== 'I') await transaction.rollback();
        throw fault;
      }
    });
    transaction.runHooks().forEach(this.#options.onHookFault);
    return result;
  }

  async session(): Promise<Session> {
    if (this.#closing !== undefined) throw new ProbityError('DATABASE_UNAVAILABLE', 'the database has been closed');
    const session = await PgSession.open(this.#options.config, this.schema);
    this.#sessions.add(session);
    session.closed.addEventListener('abort', () => this.#sessions.delete(session), { once: true });
    return session;
  }

  /** Lets running work end within the limit, then cuts what is left. The same promise on each call. */
  close(limitMs: number): Promise<void> {
    this.#closing ??= this.#close(limitMs);
    return this.#closing;
  }

  async #close(limitMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const cut = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        // `end` on a busy connection cuts its socket; the server then rolls its transaction back.
        for (const client of this.#clients) void client.end().catch(() => undefined);
        resolve();
      }, limitMs);
    });
    // On a line that went silent no goodbye is ever answered, so the limit holds for sessions, too.
    const sessions = [...this.#sessions].map((session) => session.close());
    await Promise.race([Promise.all([...sessions, this.#pool.end()]), cut]);
    clearTimeout(timer);
  }

  async #connect(): Promise<pg.PoolClient> {
    try {
      return await this.#pool.connect();
    } catch (error) {
      throw toDatabaseError(error, { phase: 'connect', schema: this.schema });
    }
  }

  /**
   * A connection that died while it lay in the pool is found at BEGIN, where nothing has been done yet: another takes its
   * place. So a restart of the server costs no caller an error; only a connection opened this moment may fail.
   */
  async #begin(options: TransactionOptions): Promise<[pg.PoolClient, PgTransaction]> {
    for (;;) {
      const client = await this.#connect();
      const transaction = new PgTransaction(this.schema, client, options);
      try {
        await transaction.begin();
        return [client, transaction];
      } catch (fault) {
        client.release(true);
        if (!isLoss(fault) || !this.#used.has(client)) throw fault;
      }
    }
  }

  /** Gives the connection back, or throws it away when its state is not known to be clean. */
  async #using<Result>(client: pg.PoolClient, work: () => Promise<Result>): Promise<Result> {
    let clean = false;
    try {
      const result = await work();
      clean = client.getTransactionStatus() === 'I';
      return result;
    } catch (fault) {
      clean = !isLoss(fault) && client.getTransactionStatus() === 'I';
      throw fault;
    } finally {
      this.#used.add(client);
      client.release(!clean);
    }
  }
}

/** After these the connection is gone or must be taken for gone. */
function isLoss(fault: unknown): boolean {
  return isProbityError(fault, 'DATABASE_UNAVAILABLE') || isProbityError(fault, 'DATABASE_COMMIT_UNKNOWN');
}
