import { isProbityError } from '../../src/rails/errors/probity-error.js';
import { schemaName } from '../../src/substrate/database/roles.js';
import { openTestServer, type TestDatabaseAddress } from './database.js';

/**
 * A process that writes batches until it is killed: each is one transaction over two tables, ten rows in one and a mark
 * in the other. Says `ack N` when the commit was answered, `unknown N` when its answer was lost, `refused N` when it is
 * known not to stand. Arguments: the database as JSON, and the first number.
 */
const [place = '', first = '0'] = process.argv.slice(2);
const server = openTestServer(JSON.parse(place) as TestDatabaseAddress);
const database = server.forSchema(schemaName('ledger'));

async function write(batch: number): Promise<string> {
  try {
    await database.transaction(async (transaction) => {
      await transaction.query('insert into mark (batch) values ($1)', [batch]);
      await transaction.query('insert into entry (batch, place) select $1, n from generate_series(1, 10) n', [batch]);
    });
    return 'ack';
  } catch (fault) {
    if (isProbityError(fault, 'DATABASE_COMMIT_UNKNOWN')) return 'unknown';
    if (isProbityError(fault) && fault.retryable) return 'refused';
    throw fault;
  }
}

for (let batch = Number(first); ; batch += 1) {
  const outcome = await write(batch);
  process.stdout.write(`${outcome} ${batch}\n`);
  // A server that is down is asked again in a moment, not ten thousand times a second.
  if (outcome !== 'ack') await new Promise((resolve) => setTimeout(resolve, 20));
}
