import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Database } from '../database.port.js';
import {
  ALPHA,
  BETA,
  CASE_LIMIT_MS,
  expectCode,
  migrationFolder,
  type FreshDatabase,
  type MigrationFolder,
  type TheHarness,
} from './kit.js';

export function rightsCases(harness: TheHarness): void {
  describe('rights', () => {
    let folder: MigrationFolder;
    let fresh: FreshDatabase;
    let alpha: Database;
    let beta: Database;
    beforeAll(async () => {
      folder = await migrationFolder();
      fresh = await harness().fresh({ schemas: ['alpha', 'beta'], migrationsFolders: [folder.path] });
      alpha = fresh.forSchema('alpha');
      beta = fresh.forSchema('beta');
    }, CASE_LIMIT_MS);
    afterAll(async () => {
      await fresh.drop();
      await folder.remove();
    });

    it('logs in each schema as its own role, and names the component', async () => {
      const text = `select current_user as role, current_setting('application_name') as name, current_setting('search_path') as path`;
      expect((await alpha.query(text)).rows).toEqual([
        { role: 'probity_alpha', name: 'probity:test:alpha', path: 'alpha' },
      ]);
      expect((await beta.query(text)).rows).toEqual([
        { role: 'probity_beta', name: 'probity:test:beta', path: 'beta' },
      ]);
    });

    it('gives the same door on each call', () => {
      expect(fresh.server.forSchema(ALPHA)).toBe(fresh.server.forSchema(ALPHA));
      expect(fresh.server.forSchema(ALPHA).schema).toBe(ALPHA);
    });

    it.each([
      'select * from alpha.item',
      'insert into alpha.item (id, note) values (1, $$x$$)',
      'truncate alpha.item',
      'select * from alpha.migrations',
      'select alpha.trim_facts()',
    ])('keeps a role out of another schema: %s', async (text) => {
      await expectCode(beta.query(text), 'DATABASE_FORBIDDEN');
    });

    it.each([
      'create table alpha.mine (id int)',
      'create table public.mine (id int)',
      'create temporary table mine (id int)',
      'create schema mine',
      'create role mine',
      'set role probity_owner',
      'set role probity_beta',
      'alter table alpha.item disable trigger all',
      'drop table alpha.item',
      'update alpha.migrations set sha256 = $$forged$$',
      'delete from alpha.migrations',
      'insert into alpha.migrations ("timestamp", name, sha256) values (9, $$forged$$, $$x$$)',
      'set session_replication_role = replica',
      'copy alpha.item to program $$true$$',
    ])('gives a role no more than rows in its own schema: %s', async (text) => {
      await expectCode(alpha.query(text), 'DATABASE_FORBIDDEN');
    });

    it('lets a role work in its own schema', async () => {
      await alpha.query(`insert into item (id, note) values (1, 'a')`);
      await alpha.query(`update item set note = 'b'`);
      expect((await alpha.query('delete from item')).count).toBe(1);
    });

    it('lets all roles call what is granted to all units, and nothing else', async () => {
      expect((await alpha.query('select beta.shared(1) as n')).rows).toEqual([{ n: 2 }]);
      await expectCode(alpha.query('select beta.private()'), 'DATABASE_FORBIDDEN');
    });

    it('turns a wrong password away', async () => {
      const stranger = fresh.open({ roleSecret: 'another secret that is as long as it must be' });
      await expectCode(stranger.forSchema(BETA).query('select 1'), 'DATABASE_LOGIN_REFUSED');
    });

    it('runs without an administrator: verifies, works, and refuses to migrate', async () => {
      const unit = fresh.openWithoutAdmin();
      await unit.verify([ALPHA, BETA]);
      expect((await unit.forSchema(ALPHA).query('select 1 as one')).rows).toEqual([{ one: 1 }]);
      await expectCode(unit.migrate([ALPHA]), 'DATABASE_FORBIDDEN');
    });
  });

  describe('append-only tables', () => {
    let folder: MigrationFolder;
    let fresh: FreshDatabase;
    let alpha: Database;
    beforeAll(async () => {
      folder = await migrationFolder();
      fresh = await harness().fresh({ schemas: ['alpha', 'beta'], migrationsFolders: [folder.path] });
      alpha = fresh.forSchema('alpha');
      await alpha.query(`insert into item (id, note) values (1, 'a')`);
      await alpha.query(`insert into fact (id, item, body) values (1, 1, 'first'), (2, 1, 'second')`);
      await alpha.query('insert into log (id, part) values (1, 1)');
      await alpha.query('insert into parent (id) values (2); insert into child (id) values (2)');
    }, CASE_LIMIT_MS);
    afterAll(async () => {
      await fresh.drop();
      await folder.remove();
    });

    const GUARDED = 'alpha.fact, alpha.log, alpha.log_one';
    const CHANGES = [
      `update fact set body = 'forged'`,
      `update fact set body = 'forged' where false`,
      'delete from fact',
      'truncate fact',
      `insert into fact (id, body) values (1, 'x') on conflict (id) do update set body = 'forged'`,
      'delete from log_one',
      'truncate log_one',
      'update log set id = 2',
    ];

    it.each(CHANGES)('refuses by rights: %s', async (text) => {
      await expectCode(alpha.query(text), 'DATABASE_FORBIDDEN');
    });

    it.each(CHANGES)('refuses by trigger where the rights were given back by mistake: %s', async (text) => {
      await fresh.administrate(`set role probity_owner; grant all on ${GUARDED} to probity_alpha`);
      try {
        await expectCode(alpha.query(text), 'DATABASE_APPEND_ONLY');
      } finally {
        await fresh.administrate(
          `set role probity_owner; revoke update, delete, truncate on ${GUARDED} from probity_alpha`,
        );
      }
    });

    it('refuses an administrator, too', async () => {
      await expect(fresh.administrate('delete from alpha.fact')).rejects.toMatchObject({ code: 'PB001' });
    });

    it('refuses a cascade from a table that may be changed', async () => {
      await expectCode(alpha.query('delete from parent'), 'DATABASE_APPEND_ONLY');
    });

    it('takes new facts, and only the owner of migrations may take some away', async () => {
      await alpha.query(`insert into fact (id, body) values (3, 'third')`);
      expect((await alpha.query('select 1 from fact')).count).toBe(3);
      await alpha.query('select trim_facts()');
      expect((await alpha.query('select 1 from fact')).count).toBe(0);
    });
  });
}
