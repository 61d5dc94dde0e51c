import type pg from 'pg';
import { ProbityError } from '../../rails/errors/probity-error.js';
import type { Rows, Statement } from './database.port.js';
import { toDatabaseError, type DriverContext } from './pg.errors.js';

/** The protocol counts parameters in 16 bits; the driver would wrap the count and desynchronise the connection. */
const VALUES_MAX = 65_535;

/** The driver takes a limit per query that its types do not list. */
interface TimedQuery extends pg.QueryConfig<unknown[]> {
  readonly query_timeout?: number;
}

export interface RunOptions extends DriverContext {
  /** Client-side limit for the answer; the connection's own when left out. 0: none. */
  readonly answerLimitMs?: number;
}

type Answer = pg.QueryResult<Record<string, unknown>>;

export interface CommandRows<Row> extends Rows<Row> {
  /** What the server says it did: `INSERT`, `COMMIT` … */
  readonly command: string;
}

/** Runs one statement on one connection; what goes wrong leaves as a ProbityError. */
export async function run<Row>(
  client: pg.ClientBase,
  statement: string | Statement,
  values: readonly unknown[] | undefined,
  options: RunOptions,
): Promise<CommandRows<Row>> {
  const { name, text }: Statement = typeof statement === 'string' ? { text: statement } : statement;
  const context: DriverContext = { ...options, statement: name ?? text };
  if (values !== undefined && values.length > VALUES_MAX) {
    throw new ProbityError(
      'DATABASE_STATEMENT_INVALID',
      `${values.length} values for one statement, and the protocol takes ${VALUES_MAX}: send arrays and unnest them`,
    );
  }
  const query: TimedQuery = {
    text,
    ...(name === undefined ? {} : { name }),
    ...(values === undefined ? {} : { values: [...values] }),
    ...(options.answerLimitMs === undefined ? {} : { query_timeout: options.answerLimitMs }),
  };
  try {
    const { rows, rowCount, command } = last(await client.query<Record<string, unknown>, unknown[]>(query));
    // The shape of a row is the statement's, and its author declares it.
    return { rows: rows as Row[], count: rowCount ?? rows.length, command };
  } catch (error) {
    throw toDatabaseError(error, context);
  }
}

/** A text of several statements has several answers, which the driver's types do not say; the last one is asked for. */
function last(answer: Answer | Answer[]): Pick<Answer, 'rows' | 'rowCount' | 'command'> {
  return 'rows' in answer ? answer : (answer.at(-1) ?? { rows: [], rowCount: 0, command: '' });
}
