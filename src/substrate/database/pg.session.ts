import pg from 'pg';
import { ProbityError } from '../../rails/errors/probity-error.js';
import type { Rows, Session, Statement } from './database.port.js';
import { run } from './pg.client.js';
import { toDatabaseError } from './pg.errors.js';

/**
 * A connection kept for one purpose. Its state (LISTEN, session locks) lives in the server's process, so a lost session is
 * never reconnected behind the owner's back: `closed` fires, and the owner opens another and takes stock again.
 */
export class PgSession implements Session {
  readonly closed: AbortSignal;
  readonly #client: pg.Client;
  readonly #schema: string;
  readonly #gone = new AbortController();
  readonly #listeners = new Map<string, ((payload: string) => void)[]>();
  #last: Promise<unknown> = Promise.resolve();

  private constructor(client: pg.Client, schema: string) {
    this.#client = client;
    this.#schema = schema;
    this.closed = this.#gone.signal;
  }

  static async open(config: pg.ClientConfig, schema: string): Promise<PgSession> {
    const client = new pg.Client(config);
    const session = new PgSession(client, schema);
    // Without this listener a lost connection is an uncaught exception and ends the whole process.
    client.on('error', () => session.#gone.abort());
    client.on('end', () => session.#gone.abort());
    client.on('notification', ({ channel, payload }) => session.#hear(channel, payload ?? ''));
    try {
      await client.connect();
    } catch (error) {
      throw toDatabaseError(error, { phase: 'connect', schema });
    }
    return session;
  }

  get backendPid(): number {
    // The driver sets it while logging in and does not list it in its types.
    const { processID } = this.#client as pg.Client & { readonly processID?: unknown };
    if (typeof processID !== 'number') {
      throw new ProbityError('DATABASE_UNAVAILABLE', 'the session has not been opened');
    }
    return processID;
  }

  query<Row = Record<string, unknown>>(statement: string | Statement, values?: readonly unknown[]): Promise<Rows<Row>> {
    const readOnly = typeof statement === 'object' && statement.readOnly === true;
    const answer = this.#last.then(() =>
      run<Row>(this.#client, statement, values, { phase: 'autocommit', schema: this.#schema, readOnly }),
    );
    this.#last = answer.catch(() => undefined);
    return answer;
  }

  async listen(channel: string, onNotify: (payload: string) => void): Promise<void> {
    const listeners = this.#listeners.get(channel);
    if (listeners !== undefined) {
      listeners.push(onNotify);
      return;
    }
    // Registered before LISTEN is answered: a notification may arrive in the same packet as the answer.
    this.#listeners.set(channel, [onNotify]);
    await this.query(`listen ${pg.escapeIdentifier(channel)}`);
  }

  async close(): Promise<void> {
    if (!this.closed.aborted) await this.#client.end().catch(() => undefined);
    this.#gone.abort();
  }

  #hear(channel: string, payload: string): void {
    for (const listener of this.#listeners.get(channel) ?? []) listener(payload);
  }
}
