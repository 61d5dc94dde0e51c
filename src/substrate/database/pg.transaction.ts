import type pg from 'pg';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import type { Rows, SchemaName, Statement, Transaction, TransactionOptions } from './database.port.js';
import { run, type CommandRows, type RunOptions } from './pg.client.js';
import { answerLimitMs } from './pg.connection.js';

/**
 * One transaction on one connection.
 *
 *     open --work resolves--> COMMIT --answered--> committed, hooks run
 *       \                        \--answer lost--> unknown: DATABASE_COMMIT_UNKNOWN
 *        \--work rejects--> ROLLBACK (or the connection is thrown away, and the server rolls back by itself)
 *
 * After `open` every statement through this object is refused: the connection may already serve somebody else, and a
 * forgotten `await` would write into a stranger's transaction.
 */
export class PgTransaction implements Transaction {
  readonly schema: SchemaName;
  readonly #client: pg.ClientBase;
  readonly #options: TransactionOptions;
  readonly #hooks: (() => void)[] = [];
  #last: Promise<unknown> = Promise.resolve();
  #open = true;
  #fault: ProbityError | undefined;

  constructor(schema: SchemaName, client: pg.ClientBase, options: TransactionOptions) {
    this.schema = schema;
    this.#client = client;
    this.#options = options;
  }

  begin(): Promise<unknown> {
    return this.#run(beginText(this.#options), undefined, 'statement');
  }

  query<Row = Record<string, unknown>>(statement: string | Statement, values?: readonly unknown[]): Promise<Rows<Row>> {
    if (!this.#open) {
      const detail = 'a statement came after its transaction had ended; await it inside the work';
      return Promise.reject(new ProbityError('DATABASE_STATEMENT_INVALID', detail));
    }
    // Statements run one after the other even when the work starts several at once.
    const answer = this.#last.then(() => this.#run<Row>(statement, values, 'statement'));
    this.#last = answer.catch(() => undefined);
    return answer;
  }

  afterCommit(hook: () => void): void {
    this.#hooks.push(hook);
  }

  /** Refuses further statements and waits for those that were started. */
  async seal(): Promise<void> {
    this.#open = false;
    await this.#last;
  }

  /** @throws ProbityError DATABASE_COMMIT_UNKNOWN when the answer was lost; anything else means rolled back */
  async commit(): Promise<void> {
    if (this.#client.getTransactionStatus() === 'I') {
      throw new ProbityError('DATABASE_STATEMENT_INVALID', 'the work ended its transaction by a statement of its own');
    }
    const { command } = await this.#run('commit', undefined, 'commit');
    // A transaction in which a statement failed answers COMMIT by ROLLBACK, without an error. Work that caught the failure
    // and went on would be told that all is stored while nothing is.
    if (command !== 'COMMIT') {
      throw this.#fault ?? new ProbityError('DATABASE_STATEMENT_INVALID', 'a statement failed, so all was rolled back');
    }
  }

  rollback(): Promise<unknown> {
    return this.#run('rollback', undefined, 'statement');
  }

  /** What the hooks threw; they run all the same, since the commit stands whatever they do. */
  runHooks(): readonly unknown[] {
    return this.#hooks.flatMap((hook) => {
      try {
        hook();
        return [];
      } catch (fault) {
        return [fault];
      }
    });
  }

  async #run<Row>(
    statement: string | Statement,
    values: readonly unknown[] | undefined,
    phase: RunOptions['phase'],
  ): Promise<CommandRows<Row>> {
    const { readOnly = false, statementTimeoutMs } = this.#options;
    const limit = statementTimeoutMs === undefined ? {} : { answerLimitMs: answerLimitMs(statementTimeoutMs) };
    try {
      return await run<Row>(this.#client, statement, values, { phase, schema: this.schema, readOnly, ...limit });
    } catch (fault) {
      if (isProbityError(fault)) this.#fault ??= fault;
      throw fault;
    }
  }
}

/** One text and one round trip: the settings cost nothing where they are not given. */
function beginText({ isolation, readOnly, statementTimeoutMs, lockTimeoutMs }: TransactionOptions): string {
  const begin = ['begin', ...(isolation === undefined ? [] : [`isolation level ${isolation}`])];
  const settings = [
    ...(statementTimeoutMs === undefined ? [] : [setLocal('statement_timeout', statementTimeoutMs)]),
    ...(lockTimeoutMs === undefined ? [] : [setLocal('lock_timeout', lockTimeoutMs)]),
  ];
  return [[...begin, ...(readOnly === true ? ['read only'] : [])].join(' '), ...settings].join('; ');
}

function setLocal(name: string, limitMs: number): string {
  if (!Number.isSafeInteger(limitMs) || limitMs < 0) {
    throw new ProbityError('DATABASE_STATEMENT_INVALID', `${name} is a whole number of milliseconds, 0 for none`);
  }
  return `set local ${name} = ${limitMs}`;
}
