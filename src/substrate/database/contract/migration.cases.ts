import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
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

const FIRST = 'create table alpha.first (id int primary key);';
const SECOND = 'create table alpha.second (id int primary key);';

export function migrationCases(harness: TheHarness): void {
  describe('migrations', () => {
    let folder: MigrationFolder;
    let fresh: FreshDatabase;
    beforeEach(async () => {
      folder = await migrationFolder({ 'alpha/0001_first.sql': FIRST });
      // Migrated for nothing but the shared schema: alpha has never been here.
      fresh = await harness().fresh({ schemas: [], migrationsFolders: [folder.path] });
    }, CASE_LIMIT_MS);
    afterEach(async () => {
      await fresh.drop();
      await folder.remove();
    });

    const tables = async (): Promise<readonly unknown[]> =>
      (
        await fresh
          .forSchema('alpha')
          .query<{ name: string }>(`select tablename as name from pg_tables where schemaname = 'alpha' order by 1`)
      ).rows.map(({ name }) => name);

    it('applies what is new, once and in order, and says what', async () => {
      await folder.write('alpha/0002_second.sql', SECOND);
      const report = await fresh.server.migrate([ALPHA]);
      expect(report.applied).toEqual([
        { schema: 'alpha', name: '0001_first' },
        { schema: 'alpha', name: '0002_second' },
      ]);
      expect(await fresh.server.migrate([ALPHA])).toEqual({ applied: [], total: report.total });
      await folder.write('alpha/0003_third.sql', 'alter table alpha.second add note text;');
      expect((await fresh.server.migrate([ALPHA])).applied).toEqual([{ schema: 'alpha', name: '0003_third' }]);
      expect(await tables()).toEqual(['first', 'migrations', 'second']);
    });

    it('belongs to the owner of migrations, not to the role that uses it', async () => {
      await fresh.server.migrate([ALPHA]);
      const { rows } = await fresh
        .forSchema('alpha')
        .query(
          `select tableowner, (select rolcanlogin from pg_roles where rolname = tableowner) as login from pg_tables where tablename = 'first'`,
        );
      expect(rows).toEqual([{ tableowner: 'probity_owner', login: false }]);
    });

    it(
      'is applied once when several processes start at once, and each then finds it applied',
      async () => {
        await folder.write('alpha/0002_second.sql', `${SECOND} insert into alpha.second select 1 from pg_sleep(0.2);`);
        const servers = Array.from({ length: 5 }, () => fresh.open());
        const reports = await Promise.all(servers.map((server) => server.migrate([ALPHA, BETA])));
        expect(reports.map(({ applied }) => applied.length).sort()).toEqual([0, 0, 0, 0, 2]);
        await Promise.all(servers.map((server) => server.verify([ALPHA, BETA])));
      },
      CASE_LIMIT_MS,
    );

    it('leaves nothing of a file that fails, and names file, line and statement', async () => {
      await folder.write(
        'alpha/0002_half.sql',
        `-- a comment; with a semicolon\n${SECOND}\n\nselect 1;\nselect *\n  from alpha.nowhere;\n`,
      );
      await folder.write('alpha/0003_never.sql', 'create table alpha.never (id int);');
      const fault = await expectCode(fresh.server.migrate([ALPHA]), 'DATABASE_MIGRATION_INVALID');
      expect(fault.detail).toContain('migrations/alpha/0002_half.sql:6: ');
      expect(fault.detail).toContain('nowhere');
      expect(fault.data).toMatchObject({ statement: 3, line: 6, sqlstate: '42P01' });
      expect(await tables()).toEqual(['first', 'migrations']);
      // Corrected, it goes on from where it stood.
      await folder.write('alpha/0002_half.sql', SECOND);
      expect((await fresh.server.migrate([ALPHA])).applied.map(({ name }) => name)).toEqual([
        '0002_half',
        '0003_never',
      ]);
    });

    it('refuses an applied file that was edited, and names it', async () => {
      await fresh.server.migrate([ALPHA]);
      await folder.write('alpha/0001_first.sql', `${FIRST} -- edited`);
      for (const call of [() => fresh.server.migrate([ALPHA]), () => fresh.server.verify([ALPHA])]) {
        const fault = await expectCode(call(), 'DATABASE_MIGRATION_CHANGED');
        expect(fault.detail).toContain('migrations/alpha/0001_first.sql');
      }
    });

    it('refuses an applied file that was renamed or renumbered', async () => {
      await fresh.server.migrate([ALPHA]);
      await folder.remove();
      await folder.write('alpha/0001_new.sql', SECOND);
      await folder.write('alpha/0002_first.sql', FIRST);
      await expectCode(fresh.server.migrate([ALPHA]), 'DATABASE_SCHEMA_AHEAD');
    });

    it('says behind before, and ahead after, and changes nothing by it', async () => {
      await expectCode(fresh.server.verify([ALPHA]), 'DATABASE_LOGIN_REFUSED').catch(() =>
        expectCode(fresh.server.verify([ALPHA]), 'DATABASE_SCHEMA_BEHIND'),
      );
      await fresh.server.migrate([ALPHA]);
      await fresh.server.verify([ALPHA]);
      await folder.write('alpha/0002_second.sql', SECOND);
      const behind = await expectCode(fresh.server.verify([ALPHA]), 'DATABASE_SCHEMA_BEHIND');
      expect(behind.detail).toContain('migrations/alpha/0002_second.sql');
      expect(await tables()).toEqual(['first', 'migrations']);
      await fresh.server.migrate([ALPHA]);
      await folder.remove();
      await folder.write('alpha/0001_first.sql', FIRST);
      await expectCode(fresh.server.verify([ALPHA]), 'DATABASE_SCHEMA_AHEAD');
      await expectCode(fresh.server.migrate([ALPHA]), 'DATABASE_SCHEMA_AHEAD');
    });

    it.each([
      ['a gap in the numbers', 'alpha/0003_third.sql', SECOND],
      ['a number twice', 'alpha/0001_other.sql', SECOND],
      ['a name that is none', 'alpha/second.sql', SECOND],
      ['a commit in the middle', 'alpha/0002_second.sql', `${SECOND} commit; select 1;`],
      ['a change of role', 'alpha/0002_second.sql', `${SECOND} reset role;`],
    ])('refuses %s before it applies anything', async (_, file, sql) => {
      await folder.write(file, sql);
      await expectCode(fresh.server.migrate([ALPHA]), 'DATABASE_MIGRATION_INVALID');
      await fresh.administrate(
        `do $$ begin assert not exists (select from pg_namespace where nspname = 'alpha'); end $$`,
      );
    });

    it('refuses a schema that belongs to somebody else', async () => {
      await fresh.administrate('create schema alpha');
      const fault = await expectCode(fresh.server.migrate([ALPHA]), 'DATABASE_FORBIDDEN');
      expect(fault.detail).toContain('schema alpha');
    });

    it('gives roles a new password when the secret changes, and keeps it out of the statements', async () => {
      await fresh.server.migrate([ALPHA]);
      const changed = fresh.open({ roleSecret: 'a new role secret, long enough to be taken' });
      await expectCode(changed.forSchema(ALPHA).query('select 1'), 'DATABASE_LOGIN_REFUSED');
      try {
        await changed.migrate([ALPHA]);
        expect((await changed.forSchema(ALPHA).query('select 1 as one')).rows).toEqual([{ one: 1 }]);
        await expectCode(fresh.open().forSchema(ALPHA).query('select 1'), 'DATABASE_LOGIN_REFUSED');
      } finally {
        await fresh.server.migrate([ALPHA, BETA]);
      }
    });
  });
}
