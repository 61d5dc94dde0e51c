import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Database } from '../database.port.js';
import {
  ALPHA,
  CASE_LIMIT_MS,
  cuttingWire,
  expectCode,
  faultOf,
  migrationFolder,
  type CuttingWire,
  type FreshDatabase,
  type MigrationFolder,
  type TheHarness,
} from './kit.js';

const INSERT = 'insert into item (id, note) values ($1, $2)';

export function outageCases(harness: TheHarness): void {
  describe('lost connections', () => {
    let folder: MigrationFolder;
    let fresh: FreshDatabase;
    let database: Database;
    let wire: CuttingWire;
    beforeAll(async () => {
      folder = await migrationFolder();
      fresh = await harness().fresh({ schemas: ['alpha'], migrationsFolders: [folder.path] });
      database = fresh.forSchema('alpha');
      wire = await cuttingWire(fresh.address);
    }, CASE_LIMIT_MS);
    beforeEach(() => database.query('delete from item'));
    afterAll(async () => {
      await wire.close();
      await fresh.drop();
      await folder.remove();
    });

    const behindWire = (): Database => fresh.open({ address: wire.address, connectionsMax: 1 }).forSchema(ALPHA);
    const stored = async (): Promise<number> => (await database.query('select 1 from item')).count;

    it('is unavailable and retryable before the commit, and nothing is stored', async () => {
      const remote = behindWire();
      const call = remote.transaction(async (transaction) => {
        await transaction.query(INSERT, [1, 'one']);
        wire.cutAt('select 4711', { handOn: true });
        await transaction.query('select 4711');
      });
      expect((await expectCode(call, 'DATABASE_UNAVAILABLE')).retryable).toBe(true);
      expect(await stored()).toBe(0);
      await remote.transaction((transaction) => transaction.query(INSERT, [1, 'again']));
      expect(await stored()).toBe(1);
    });

    it.each([
      { handOn: true, rows: 1 },
      { handOn: false, rows: 0 },
    ])(
      'is unknown and not retryable during the commit (commit reached the server: $handOn)',
      async ({ handOn, rows }) => {
        let hooked = false;
        const call = behindWire().transaction(async (transaction) => {
          transaction.afterCommit(() => (hooked = true));
          await transaction.query(INSERT, [1, 'one']);
          wire.cutAt('commit', { handOn });
        });
        const fault = await expectCode(call, 'DATABASE_COMMIT_UNKNOWN');
        expect(fault.retryable).toBe(false);
        expect(hooked).toBe(false);
        // The fate is decided when the server has dropped the connection's transaction: only then can the row be locked.
        await database.query('lock table item in share row exclusive mode; select 1');
        expect(await stored()).toBe(rows);
      },
    );

    it('is merely unavailable during the commit of a transaction that only read', async () => {
      const call = behindWire().transaction(
        async (transaction) => {
          await transaction.query('select 1 from item');
          wire.cutAt('commit', { handOn: true });
        },
        { readOnly: true },
      );
      await expectCode(call, 'DATABASE_UNAVAILABLE');
    });

    it('is unknown when a single statement lost its answer, unless it says that it only reads', async () => {
      const remote = behindWire();
      wire.cutAt('insert', { handOn: true });
      await expectCode(remote.query(INSERT, [1, 'one']), 'DATABASE_COMMIT_UNKNOWN');
      wire.cutAt('select 4711', { handOn: true });
      await expectCode(remote.query({ text: 'select 4711', readOnly: true }), 'DATABASE_UNAVAILABLE');
    });

    it('is unavailable when nobody listens', async () => {
      const nowhere = fresh.open({ address: { ...fresh.address, port: 1 } });
      await expectCode(nowhere.forSchema(ALPHA).query(INSERT, [1, 'one']), 'DATABASE_UNAVAILABLE');
      expect(await nowhere.health()).toMatchObject({ ok: false });
    });

    it('is unavailable when no connection of the pool becomes free in time', async () => {
      const narrow = fresh.open({ connectionsMax: 1, limits: { connectTimeoutMs: 100 } }).forSchema(ALPHA);
      await narrow.transaction(async () => {
        await expectCode(narrow.query('select 1'), 'DATABASE_UNAVAILABLE');
      });
      expect((await narrow.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    });

    it('costs a transaction nothing when connections died while they lay in the pool', async () => {
      const pooled = fresh.open({ connectionsMax: 3 }).forSchema(ALPHA);
      const pids = await Promise.all(
        [1, 2, 3].map(() =>
          pooled.transaction(
            async (t) =>
              (await t.query<{ pid: number }>('select pg_backend_pid() as pid, pg_sleep(0.05)')).rows[0]?.pid,
          ),
        ),
      );
      expect(new Set(pids).size).toBe(3);
      await fresh.administrate(
        `select pg_terminate_backend(pid, 5000) from pg_stat_activity where pid in (${pids.join()})`,
      );
      const outcomes = await Promise.all(
        pids.map((_, id) => pooled.transaction((transaction) => transaction.query(INSERT, [id, 'after']))),
      );
      expect(outcomes.map(({ count }) => count)).toEqual([1, 1, 1]);
    });

    it('begins again on another connection when a pooled one turns out to be dead, but fails on a new one', async () => {
      const remote = behindWire();
      wire.cutAt('begin', { handOn: false });
      await expectCode(
        remote.transaction((transaction) => transaction.query(INSERT, [1, 'never'])),
        'DATABASE_UNAVAILABLE',
      );
      await remote.query('select 1');
      wire.cutAt('begin', { handOn: false });
      await remote.transaction((transaction) => transaction.query(INSERT, [2, 'two']));
      expect((await database.query('select id from item')).rows).toEqual([{ id: 2 }]);
    });

    it('ends running work when it is closed and the work does not end in time', async () => {
      const server = fresh.open();
      const work = faultOf(
        server.forSchema(ALPHA).transaction((transaction) => transaction.query('select pg_sleep(30)')),
      );
      while (
        (
          await database.query(
            `select 1 from pg_stat_activity where query like '%pg_sleep(30)%' and state = 'active' and pid <> pg_backend_pid()`,
          )
        ).count === 0
      );
      await server.close(50);
      expect((await work).code).toBe('DATABASE_UNAVAILABLE');
      await expectCode(server.forSchema(ALPHA).query('select 1'), 'DATABASE_UNAVAILABLE');
    });

    it('lets running work end when it is closed', async () => {
      const server = fresh.open();
      const work = server.forSchema(ALPHA).transaction(async (transaction) => {
        await transaction.query('select pg_sleep(0.2)');
        return await transaction.query(INSERT, [1, 'one']);
      });
      await server.forSchema(ALPHA).query('select 1');
      await server.close(5_000);
      expect((await work).count).toBe(1);
    });

    it(
      'works again after the server was killed and restarted; sessions say that they are gone',
      async () => {
        const session = await database.session();
        const gone = new Promise<void>((resolve) => session.closed.addEventListener('abort', () => resolve()));
        await database.query(INSERT, [1, 'before']);
        await harness().crash();
        await gone;
        await database.transaction((transaction) => transaction.query(INSERT, [2, 'after']));
        expect(await stored()).toBe(2);
        expect(await fresh.server.health()).toMatchObject({ ok: true });
      },
      CASE_LIMIT_MS,
    );
  });
}
