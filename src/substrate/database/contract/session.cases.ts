import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Database } from '../database.port.js';
import {
  CASE_LIMIT_MS,
  expectCode,
  migrationFolder,
  type FreshDatabase,
  type MigrationFolder,
  type TheHarness,
} from './kit.js';

export function sessionCases(harness: TheHarness): void {
  describe('sessions', () => {
    let folder: MigrationFolder;
    let fresh: FreshDatabase;
    let database: Database;
    beforeAll(async () => {
      folder = await migrationFolder();
      fresh = await harness().fresh({ schemas: ['alpha'], migrationsFolders: [folder.path] });
      database = fresh.forSchema('alpha');
    }, CASE_LIMIT_MS);
    afterAll(async () => {
      await fresh.drop();
      await folder.remove();
    });

    it('hears what others notify, in order, and only after their commit', async () => {
      const session = await database.session();
      const heard: string[] = [];
      const third = new Promise<void>((resolve) => {
        void session.listen('some "channel"', (payload) => {
          heard.push(payload);
          if (heard.length === 3) resolve();
        });
      });
      await session.query('select 1');
      await database.query(`select pg_notify('some "channel"', 'one')`);
      await database.transaction((transaction) => transaction.query(`select pg_notify('some "channel"', 'two')`));
      await database
        .transaction(async (transaction) => {
          await transaction.query(`select pg_notify('some "channel"', 'never')`);
          throw new Error('rolled back');
        })
        .catch(() => undefined);
      await database.query(`select pg_notify('some "channel"', '')`);
      await third;
      expect(heard).toEqual(['one', 'two', '']);
      await session.close();
    });

    it('keeps its locks until it is closed', async () => {
      const [one, two] = await Promise.all([database.session(), database.session()]);
      const take = 'select pg_try_advisory_lock(4711) as taken';
      expect((await one.query(take)).rows).toEqual([{ taken: true }]);
      expect((await two.query(take)).rows).toEqual([{ taken: false }]);
      expect(one.closed.aborted).toBe(false);
      await one.close();
      expect(one.closed.aborted).toBe(true);
      // The server lets go when it has seen the end of the connection, a moment later.
      await two.query('select pg_advisory_lock(4711)');
      await two.close();
    });

    it('says that it is gone, whoever ended it, and refuses further statements', async () => {
      const session = await database.session();
      const gone = new Promise<void>((resolve) => session.closed.addEventListener('abort', () => resolve()));
      expect(session.backendPid).toBeGreaterThan(0);
      await fresh.administrate(`select pg_terminate_backend(${session.backendPid})`);
      await gone;
      const fault = await expectCode(session.query('select 1'), 'DATABASE_UNAVAILABLE');
      expect(fault.retryable).toBe(true);
    });

    it('ends with its database', async () => {
      const server = fresh.open();
      const session = await server.forSchema(database.schema).session();
      await server.close(1_000);
      expect(session.closed.aborted).toBe(true);
      await expectCode(server.forSchema(database.schema).session(), 'DATABASE_UNAVAILABLE');
    });
  });
}
