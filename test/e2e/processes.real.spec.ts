import { rmSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { scratchDataFolder } from '../support/data-folder.js';
import { generateApiKey } from '../../src/substrate/identity/api-key.js';
import { cli } from '../support/cli.js';
import { openTestPostgres, type TestDatabase, type TestPostgres } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { Http } from '../support/http.js';
import { demanded } from '../support/kafka.js';
import { ScratchProfile } from '../support/profiles.js';
import { Program } from '../support/program.js';

/** The same two processes as on a laptop, on Kafka, S3 and Postgres: nothing shared but the servers and a profile. */
describe('each role in a process of its own, on real servers', () => {
  const run = randomBytes(4).toString('hex');
  const folders = ['ledger', 'teller'].map((role) => scratchDataFolder(role));
  const profile = new ScratchProfile('dev');
  const key = generateApiKey('tester');
  let postgres: TestPostgres;
  let database: TestDatabase;
  let env: Record<string, string>;
  let ledger: Program;
  let teller: Program;
  let client: Http;

  beforeAll(async () => {
    postgres = await openTestPostgres('external');
    database = await postgres.fresh({ schemas: [] });
    const { address, admin, roleSecret } = database;
    env = {
      PROBITY_DATABASE_HOST: address.host,
      PROBITY_DATABASE_PORT: String(address.port),
      PROBITY_DATABASE_NAME: address.database,
      PROBITY_DATABASE_ADMIN_USER: admin.user,
      PROBITY_DATABASE_ADMIN_PASSWORD: admin.password,
      PROBITY_DATABASE_ROLE_SECRET: roleSecret,
      PROBITY_KAFKA_BROKERS: demanded('KAFKA_BROKERS', 'a list of brokers'),
      PROBITY_S3_ENDPOINT: demanded('S3_ENDPOINT', 'the address of an S3 server'),
      PROBITY_S3_ACCESS_KEY_ID: demanded('S3_ACCESS_KEY_ID', 'its access key'),
      PROBITY_S3_SECRET_ACCESS_KEY: demanded('S3_SECRET_ACCESS_KEY', 'its secret key'),
      PROBITY_TEST_SERVICE_KEY: key.token,
    };
    // As earlier tests have made the topics of a shared broker.
    profile.edit(profile.wiring, 'partitions: 6, retention_ms: null', 'partitions: 6, retention_ms: 604800000');
    profile.edit(profile.wiring, 'bucket: fraud-platform', `bucket: probity-e2e-${run}`);
    profile.edit(profile.wiring, 'host: 0.0.0.0', 'host: 127.0.0.1');
    profile.edit(profile.wiring, 'identity: {}', 'identity:\n  service_key: { env: PROBITY_TEST_SERVICE_KEY }');
    const listed = `api_keys:\n    - key_id: tester\n      key_sha256: '${key.keySha256}'\n      actor_id: HUMAN::tester\n      roles: [operator]`;
    profile.edit(profile.access, 'api_keys: []', listed);
    expect((await cli(['policy', 'seal', profile.access])).code).toBe(0);

    ledger = start('ledger');
    const url = await ledger.url();
    profile.edit(profile.wiring, 'endpoints: {}', `endpoints: { ledger: "${url}" }`);
    teller = start('teller');
    client = new Http(await teller.url(), key.token);
  });

  afterAll(async () => {
    await Promise.all([teller.end('SIGKILL'), ledger.end('SIGKILL')]);
    await postgres.close();
    profile.remove();
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  });

  function start(role: 'ledger' | 'teller'): Program {
    const data = folders[role === 'ledger' ? 0 : 1] ?? '';
    return new Program({ role, data, profile: profile.folder, env });
  }

  const deposit = async (id: string): Promise<unknown> => {
    const { body } = await client.post('/test/v1/deposits', {
      deposits: [{ deposit_id: `${run}-${id}`, account: run, minor_units: 100 }],
    });
    return body;
  };

  const balanceBecomes = async (deposits: number): Promise<unknown> =>
    await eventually(
      async () => (await client.get(`/test/v1/balances/${run}`)).body as { deposits: number },
      (balance) => balance.deposits === deposits,
      60_000,
    );

  it('talk through Kafka, S3, Postgres and HTTP', async () => {
    expect(await deposit('1')).toEqual({ taken: 1, slip: `teller/slips/${run}-1` });
    expect(await deposit('1')).toEqual({ taken: 0, slip: `teller/slips/${run}-1` });
    expect(await balanceBecomes(1)).toMatchObject({ minor_units: 100, answered_by_pid: ledger.pid });
  });

  it('SIGKILL of the ledger leaves the teller working; nothing is lost and nothing counted twice', async () => {
    await ledger.end('SIGKILL');
    expect(await deposit('2')).toMatchObject({ taken: 1 });
    const before = await teller.url();
    ledger = start('ledger');
    await ledger.url();
    // The new ledger has another port; a cluster would keep the address.
    await teller.end('SIGTERM');
    profile.edit(profile.wiring, 'endpoints: { ledger: "', `endpoints: { ledger: "${await ledger.url()}", old: "`);
    teller = start('teller');
    client = new Http(await teller.url(), key.token);
    expect(await teller.url()).not.toBe(before);
    expect(await balanceBecomes(2)).toMatchObject({ minor_units: 200, answered_by_pid: ledger.pid });
  });

  it('SIGTERM ends each in order', async () => {
    for (const program of [teller, ledger]) expect((await program.end('SIGTERM')).code).toBe(0);
  });
});
