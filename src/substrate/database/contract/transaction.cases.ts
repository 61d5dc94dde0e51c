import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Database, Transaction } from '../database.port.js';
import {
  ALPHA,
  CASE_LIMIT_MS,
  expectCode,
  migrationFolder,
  type FreshDatabase,
  type MigrationFolder,
  type TheHarness,
} from './kit.js';

const INSERT = 'insert into item (id, note) values ($1, $2)';

export function transactionCases(harness: TheHarness): void {
  describe('transactions', () => {
    let folder: MigrationFolder;
    let fresh: FreshDatabase;
    let database: Database;
    beforeAll(async () => {
      folder = await migrationFolder();
      fresh = await harness().fresh({ schemas: ['alpha'], migrationsFolders: [folder.path] });
      database = fresh.forSchema('alpha');
    }, CASE_LIMIT_MS);
    beforeEach(() => database.query('delete from item; delete from slot'));
    afterAll(async () => {
      await fresh.drop();
      await folder.remove();
    });

    const ids = async (): Promise<readonly number[]> =>
      (await database.query<{ id: number }>('select id from item order by id')).rows.map(({ id }) => id);

    it('commits when the work resolves, and then runs the hooks', async () => {
      const heard: string[] = [];
      const value = await database.transaction(async (transaction) => {
        transaction.afterCommit(() => heard.push('hook'));
        await transaction.query(INSERT, [1, 'one']);
        expect(transaction.schema).toBe(ALPHA);
        heard.push('work');
        return 'result';
      });
      expect(value).toBe('result');
      expect(heard).toEqual(['work', 'hook']);
      expect(await ids()).toEqual([1]);
    });

    it('rolls back when the work rejects, passes its error on and runs no hook', async () => {
      const wrong = new Error('the work changed its mind');
      let hooked = false;
      const call = database.transaction(async (transaction) => {
        transaction.afterCommit(() => (hooked = true));
        await transaction.query(INSERT, [1, 'one']);
        throw wrong;
      });
      await expect(call).rejects.toBe(wrong);
      expect(await ids()).toEqual([]);
      expect(hooked).toBe(false);
    });

    it('does not call a transaction committed in which a statement failed and the work went on', async () => {
      let hooked = false;
      const call = database.transaction(async (transaction) => {
        transaction.afterCommit(() => (hooked = true));
        await transaction.query(INSERT, [1, 'one']);
        await transaction.query(INSERT, [1, 'again']).catch(() => undefined);
        return 'stored, or so the work believes';
      });
      await expectCode(call, 'DATABASE_CONSTRAINT');
      expect(await ids()).toEqual([]);
      expect(hooked).toBe(false);
    });

    it('keeps what a savepoint saved', async () => {
      await database.transaction(async (transaction) => {
        await transaction.query(INSERT, [1, 'one']);
        await transaction.query('savepoint trial');
        await transaction.query(INSERT, [1, 'again']).catch(() => transaction.query('rollback to savepoint trial'));
        await transaction.query(INSERT, [2, 'two']);
      });
      expect(await ids()).toEqual([1, 2]);
    });

    it('reports a constraint that fails only at the commit, by its name', async () => {
      await database.query('insert into slot (id, owner) values (1, 7)');
      const fault = await expectCode(
        database.transaction((transaction) => transaction.query('insert into slot (id, owner) values (2, 7)')),
        'DATABASE_CONSTRAINT',
      );
      expect(fault.data['constraint']).toBe('slot_owner_taken');
      expect((await database.query('select 1 from slot')).count).toBe(1);
    });

    it('refuses a statement that comes after the end', async () => {
      let kept: Transaction | undefined;
      await database.transaction((transaction) => {
        kept = transaction;
        return Promise.resolve();
      });
      await expectCode(kept?.query(INSERT, [9, 'late']) ?? Promise.resolve(), 'DATABASE_STATEMENT_INVALID');
      expect(await ids()).toEqual([]);
    });

    it('refuses work that ends the transaction by itself', async () => {
      const call = database.transaction(async (transaction) => {
        await transaction.query('rollback');
      });
      await expectCode(call, 'DATABASE_STATEMENT_INVALID');
    });

    it('runs statements one after the other although the work starts them at once', async () => {
      await database.transaction(async (transaction) => {
        const all = Array.from({ length: 20 }, (_, id) => transaction.query(INSERT, [id, 'at once']));
        expect((await Promise.all(all)).map(({ count }) => count)).toEqual(all.map(() => 1));
      });
      expect((await ids()).length).toBe(20);
    });

    it('waits for statements that the work did not await, before it commits', async () => {
      await database.transaction((transaction) => {
        void transaction.query(INSERT, [1, 'forgotten']);
        return Promise.resolve();
      });
      expect(await ids()).toEqual([1]);
    });

    it('goes on after hooks that throw although they must not', async () => {
      const faults: unknown[] = [];
      const other = fresh.open({ onHookFault: (fault) => faults.push(fault) });
      const heard: number[] = [];
      await other.forSchema(ALPHA).transaction((transaction) => {
        transaction.afterCommit(() => {
          throw new Error('a hook that threw');
        });
        transaction.afterCommit(() => heard.push(2));
        return transaction.query(INSERT, [1, 'one']);
      });
      expect(heard).toEqual([2]);
      expect(faults).toHaveLength(1);
      expect(await ids()).toEqual([1]);
    });

    it('cancels a statement at its limit, and the transaction with it', async () => {
      const call = database.transaction(
        async (transaction) => {
          await transaction.query(INSERT, [1, 'one']);
          await transaction.query('select pg_sleep(30)');
        },
        { statementTimeoutMs: 100 },
      );
      const fault = await expectCode(call, 'DATABASE_TIMEOUT');
      expect(fault.retryable).toBe(true);
      expect(await ids()).toEqual([]);
    });

    it('gives up waiting for a lock at its limit', async () => {
      await database.query(INSERT, [1, 'one']);
      await database.transaction(async (holder) => {
        await holder.query('select from item where id = 1 for update');
        const waiter = database.transaction((other) => other.query(`update item set note = 'two' where id = 1`), {
          lockTimeoutMs: 50,
        });
        await expectCode(waiter, 'DATABASE_TIMEOUT');
      });
    });

    it('has limits of its own where a transaction gives none', async () => {
      const impatient = fresh.open({ limits: { statementTimeoutMs: 80, lockTimeoutMs: 40 } }).forSchema(ALPHA);
      await expectCode(impatient.query('select pg_sleep(30)'), 'DATABASE_TIMEOUT');
      const limits = await database.query<{ name: string; setting: string }>(
        `select name, setting from pg_settings where name in ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout') order by name`,
      );
      expect(limits.rows.map(({ setting }) => setting)).toEqual(['30000', '3000', '10000']);
    });

    it('ends a transaction that idles past its limit', async () => {
      const impatient = fresh.open({ limits: { idleInTransactionTimeoutMs: 50 } }).forSchema(ALPHA);
      const call = impatient.transaction(async (transaction) => {
        await transaction.query(INSERT, [1, 'one']);
        const gone = `select 1 from pg_stat_activity where pid = $1`;
        const { rows } = await transaction.query<{ pid: number }>('select pg_backend_pid() as pid');
        // Asked through another connection, until the server has ended ours.
        while ((await database.query(gone, [rows[0]?.pid])).count > 0) await Promise.resolve();
        await transaction.query('select 1');
      });
      expect(await call.catch((fault: unknown) => fault)).toMatchObject({ retryable: true });
      expect(await ids()).toEqual([]);
    });

    it('reports collisions as retryable: serialisation and deadlock', async () => {
      await database.query(`insert into item (id, note) values (1, 'a'), (2, 'b')`);
      const collide = (
        options: { isolation: 'repeatable read' } | Record<string, never>,
        order: readonly [number, number][],
      ) => {
        const gate = barrier(2);
        return Promise.allSettled(
          order.map(([first, second]) =>
            database.transaction(async (transaction) => {
              await transaction.query('select count(*) from item');
              await transaction.query(`update item set note = 'x' where id = $1`, [first]).catch(() => undefined);
              await gate();
              await transaction.query(`update item set note = 'y' where id = $1`, [second]);
            }, options),
          ),
        );
      };
      const deadlocked = await collide({}, [
        [1, 2],
        [2, 1],
      ]);
      const lost = deadlocked.filter((outcome) => outcome.status === 'rejected');
      expect(lost).toHaveLength(1);
      expect(lost[0]?.reason).toMatchObject({ code: 'DATABASE_SERIALIZATION', retryable: true });
      await expectCode(
        database.transaction(
          async (transaction) => {
            await transaction.query('select count(*) from item');
            await database.query(`update item set note = 'quicker' where id = 1`);
            await transaction.query(`update item set note = 'slower' where id = 1`);
          },
          { isolation: 'repeatable read' },
        ),
        'DATABASE_SERIALIZATION',
      );
    });

    it('refuses to write in a read-only transaction', async () => {
      const call = database.transaction((transaction) => transaction.query(INSERT, [1, 'one']), { readOnly: true });
      await expectCode(call, 'DATABASE_STATEMENT_INVALID');
    });

    it('prepares a named statement once per connection', async () => {
      const named = { name: 'item-by-id', text: 'select note from item where id = $1' };
      await database.query(INSERT, [1, 'one']);
      await database.transaction(async (transaction) => {
        await transaction.query(named, [1]);
        expect((await transaction.query(named, [1])).rows).toEqual([{ note: 'one' }]);
        const { rows } = await transaction.query(
          `select generic_plans + custom_plans as runs from pg_prepared_statements where name = 'item-by-id'`,
        );
        expect(rows).toEqual([{ runs: 2 }]);
      });
    });
  });
}

/** Resolves for all when the last has come. */
function barrier(parties: number): () => Promise<void> {
  let open: () => void = () => undefined;
  const all = new Promise<void>((resolve) => (open = resolve));
  let left = parties;
  return () => {
    left -= 1;
    if (left === 0) open();
    return all;
  };
}
