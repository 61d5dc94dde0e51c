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

export function valueCases(harness: TheHarness): void {
  describe('values and refusals', () => {
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

    it('keeps microseconds, days and whole numbers as they are', async () => {
      const { rows, count } = await database.query(
        `select 9007199254740991 as largest, array[1::int8, null] as list, '{}'::int8[] as none,
           timestamptz '2026-03-01 12:00:00.000001+01' as at, array[timestamptz '2026-01-01 00:00:00Z'] as times,
           date '2026-02-28' as day, timestamp '2026-02-28 01:02:03.5' as local, 12.50::numeric as amount,
           '\\x00ff'::bytea as bytes, '{"a": [1]}'::jsonb as doc, null::int8 as nothing, 'infinity'::timestamptz as never`,
      );
      expect(count).toBe(1);
      expect(rows[0]).toEqual({
        largest: 9007199254740991,
        list: [1, null],
        none: [],
        at: '2026-03-01T11:00:00.000001Z',
        times: ['2026-01-01T00:00:00.000000Z'],
        day: '2026-02-28',
        local: '2026-02-28 01:02:03.5',
        amount: '12.50',
        bytes: Buffer.from([0, 255]),
        doc: { a: [1] },
        nothing: null,
        never: 'infinity',
      });
    });

    it('fails instead of rounding a whole number beyond 2^53', async () => {
      await expectCode(database.query('select 9007199254740993 as n'), 'DATABASE_STATEMENT_INVALID');
      expect((await database.query('select 9007199254740993::text as n')).rows).toEqual([{ n: '9007199254740993' }]);
    });

    it('counts the rows that a statement wrote', async () => {
      const written = await database.query(`insert into item (id, note) select n, 'x' from generate_series(1, 25) n`);
      expect(written).toMatchObject({ rows: [], count: 25 });
    });

    it('names the constraint and never the row', async () => {
      await database.query(`insert into item (id, note) values (100, 'kept')`);
      const call = database.query(`insert into item (id, note) values ($1, $2)`, [100, 'a secret of a customer']);
      const fault = await expectCode(call, 'DATABASE_CONSTRAINT');
      expect(fault.data).toMatchObject({ constraint: 'item_pkey', table: 'item', sqlstate: '23505' });
      expect(JSON.stringify([fault.message, fault.data, fault.stack, String(fault.cause)])).not.toMatch(
        /secret|\(100\)/,
      );
    });

    it('never quotes a value that has the wrong form', async () => {
      const fault = await expectCode(
        database.query('select $1::int8', ['4000 0000 0000 0002']),
        'DATABASE_STATEMENT_INVALID',
      );
      expect(fault.message).not.toContain('4000');
      expect(fault.cause).toBeUndefined();
    });

    it('calls a wrong statement a defect of the program', async () => {
      const fault = await expectCode(database.query('select nonsense from item'), 'DATABASE_STATEMENT_INVALID');
      expect(fault.retryable).toBe(false);
      expect(fault.detail).toContain('nonsense');
    });

    it('refuses more values than the protocol can count, before it sends them', async () => {
      const values = Array.from({ length: 65_536 }, (_, index) => index);
      await expectCode(database.query('select 1', values), 'DATABASE_STATEMENT_INVALID');
      expect((await database.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    });
  });
}
