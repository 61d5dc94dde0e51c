import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { openTestPostgres, type TestPostgres } from '../support/database.js';
describe('smoke', () => {
  let postgres: TestPostgres;
  beforeAll(async () => { postgres = await openTestPostgres(); });
  afterAll(async () => { await postgres.close(); });
  it('works', async () => {
    console.time('a');
    const db = await postgres.fresh({ schemas: ['bus'] });
    console.timeEnd('a'); console.time('b');
    const db2 = await postgres.fresh({ schemas: ['bus'] });
    console.timeEnd('b'); console.time('m'); await db2.server.migrate([]); console.timeEnd('m');
    const bus = db.forSchema('bus');
    console.log((await bus.query('select current_user, session_user, current_setting($1) sp, now(), 5::int8 as n, array[1::int8,null] a', ['search_path'])).rows);
    console.log((await bus.query('select * from migrations')).rows);
    await db.server.verify(['bus'] as never);
    expect(1).toBe(1);
  });
});
