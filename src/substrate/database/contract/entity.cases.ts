import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { EntitySchema } from 'typeorm';
import type { Entities } from '../entities.js';
import {
  ALPHA,
  BETA,
  CASE_LIMIT_MS,
  cuttingWire,
  expectCode,
  faultOf,
  migrationFolder,
  type FreshDatabase,
  type MigrationFolder,
  type TheHarness,
} from './kit.js';

interface Item {
  id: number;
  note: string;
  at: string;
}

/** A schema and not a class with decorators, so that the suite needs no metadata of its compiler. */
const ItemEntity = new EntitySchema<Item>({
  name: 'item',
  columns: {
    id: { type: 'bigint', primary: true },
    note: { type: 'text' },
    at: { type: 'timestamptz', insert: false, update: false },
  },
});

export function entityCases(harness: TheHarness): void {
  describe('entities', () => {
    let folder: MigrationFolder;
    let fresh: FreshDatabase;
    let entities: Entities;
    beforeAll(async () => {
      folder = await migrationFolder();
      fresh = await harness().fresh({ schemas: ['alpha', 'beta'], migrationsFolders: [folder.path] });
      entities = await fresh.server.openEntities(ALPHA, [ItemEntity]);
    }, CASE_LIMIT_MS);
    beforeEach(() => fresh.forSchema('alpha').query('delete from item'));
    afterAll(async () => {
      await fresh.drop();
      await folder.remove();
    });

    const stored = async (): Promise<number> => (await fresh.forSchema('alpha').query('select 1 from item')).count;

    it('saves and finds under the role of the schema', async () => {
      await entities.transaction(async (manager) => {
        await manager.insert(ItemEntity, { id: 1, note: 'one' });
        expect(await manager.query('select current_user as role')).toEqual([{ role: 'probity_alpha' }]);
      });
      const found = await entities.transaction((manager) => manager.findOneByOrFail(ItemEntity, { id: 1 }), {
        readOnly: true,
      });
      expect(found).toMatchObject({ id: 1, note: 'one' });
    });

    it('rolls back when the work rejects, and passes its error on', async () => {
      const wrong = new Error('the work changed its mind');
      const call = entities.transaction(async (manager) => {
        await manager.insert(ItemEntity, { id: 1, note: 'one' });
        throw wrong;
      });
      await expect(call).rejects.toBe(wrong);
      expect(await stored()).toBe(0);
    });

    it('does not call a transaction committed in which a statement failed and the work went on', async () => {
      const call = entities.transaction(async (manager) => {
        await manager.insert(ItemEntity, { id: 1, note: 'one' });
        await manager.insert(ItemEntity, { id: 1, note: 'again' }).catch(() => undefined);
      });
      await expectCode(call, 'DATABASE_STATEMENT_INVALID');
      expect(await stored()).toBe(0);
    });

    it('has the codes of the statements', async () => {
      await entities.transaction((manager) => manager.insert(ItemEntity, { id: 1, note: 'one' }));
      const twice = entities.transaction((manager) => manager.insert(ItemEntity, { id: 1, note: 'again' }));
      expect((await expectCode(twice, 'DATABASE_CONSTRAINT')).data['constraint']).toBe('item_pkey');
      const foreign = entities.transaction((manager) => manager.query('select * from beta.own'));
      await expectCode(foreign, 'DATABASE_FORBIDDEN');
      const facts = entities.transaction((manager) => manager.query('delete from fact'));
      await expectCode(facts, 'DATABASE_FORBIDDEN');
      const late = faultOf(entities.transaction((manager) => manager.query('select pg_sleep(30)')));
      const limited = fresh.open({ limits: { statementTimeoutMs: 50 } });
      const short = await limited.openEntities(BETA, []);
      await expectCode(
        short.transaction((manager) => manager.query('select pg_sleep(30)')),
        'DATABASE_TIMEOUT',
      );
      await fresh.administrate(
        `select pg_cancel_backend(pid) from pg_stat_activity where query = 'select pg_sleep(30)' and state = 'active'`,
      );
      expect((await late).code).toBe('DATABASE_TIMEOUT');
    });

    it('is unknown when the answer to the commit is lost, and works again after that', async () => {
      const wire = await cuttingWire(fresh.address);
      try {
        const remote = await fresh.open({ address: wire.address }).openEntities(ALPHA, [ItemEntity]);
        const call = remote.transaction(async (manager) => {
          await manager.insert(ItemEntity, { id: 1, note: 'one' });
          wire.cutAt('COMMIT', { handOn: false });
        });
        await expectCode(call, 'DATABASE_COMMIT_UNKNOWN');
        await remote.transaction((manager) => manager.insert(ItemEntity, { id: 2, note: 'two' }));
        await remote.close();
      } finally {
        await wire.close();
      }
    });
  });
}
