import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import type { DatabaseHarness, FreshDatabase } from '../../src/substrate/database/database.contract.js';
import type { SchemaName } from '../../src/substrate/database/database.port.js';
import { Launcher, type LaunchedServer } from '../../src/substrate/database/embedded/launcher.js';
import { ownMigrationsFolder } from '../../src/substrate/database/migrations/migration.files.js';
import type { PgAddress, PgCredentials } from '../../src/substrate/database/pg.connection.js';
import { schemaName } from '../../src/substrate/database/roles.js';
import { PgDatabaseServer, type PgDatabaseServerOptions } from '../../src/substrate/database/server.js';
import { eventually } from './eventually.js';

/** What a child process needs to open the same database; plain JSON. */
export interface TestDatabaseAddress {
  readonly address: PgAddress;
  readonly admin: PgCredentials;
  readonly roleSecret: string;
}

export interface FreshDatabaseOptions {
  /** Schemas to migrate beside the shared one. */
  readonly schemas: readonly string[];
  /** Searched before the package's own. */
  readonly migrationsFolders?: readonly string[];
}

/** A migrated database of its own; `server` is under the component name `test`. */
export interface TestDatabase extends TestDatabaseAddress, FreshDatabase {
  readonly address: PgAddress;
}

/** A Postgres to make test databases on. Open one per spec file in `beforeAll`, close it in `afterAll`. */
export interface TestPostgres extends Omit<TestDatabaseAddress, 'address'>, DatabaseHarness {
  readonly host: string;
  readonly port: number;
  /** A fresh database, cloned from a template that is migrated once per set of schemas. */
  fresh(options: FreshDatabaseOptions): Promise<TestDatabase>;
  /** Drops what was made and, where it was started for the tests, stops the server. */
  close(): Promise<void>;
}

/** Opens a server object on a database that `TestPostgres.fresh` made, possibly in another process. */
export function openTestServer(
  { address, admin, roleSecret }: TestDatabaseAddress,
  options: Partial<PgDatabaseServerOptions> = {},
): PgDatabaseServer {
  return new PgDatabaseServer({ address, admin, roleSecret, component: 'test', clock: new SystemClock(), ...options });
}

/** `embedded`: started for the tests. `external`: the one that DATABASE_URL names; fails without it. */
export async function openTestPostgres(kind: 'embedded' | 'external' = 'embedded'): Promise<TestPostgres> {
  return kind === 'embedded' ? await openEmbedded() : openExternal(process.env['DATABASE_URL']);
}

function openExternal(url: string | undefined): TestPostgres {
  if (url === undefined || url === '')
    throw new Error('set DATABASE_URL to a Postgres administrator: this suite never skips');
  const { hostname, port, username, password } = new URL(url);
  const admin = { user: decodeURIComponent(username), password: decodeURIComponent(password) };
  return testPostgres({
    host: hostname,
    port: Number(port === '' ? 5432 : port),
    admin,
    crash: crashByControl,
    stop: () => Promise.resolve(),
  });
}

/** PROBITY_TEST_POSTGRES_CONTROL is a command with the sub-commands `kill` (SIGKILL to the server) and `start`. */
async function crashByControl(): Promise<void> {
  const control = process.env['PROBITY_TEST_POSTGRES_CONTROL'];
  if (control === undefined || control === '') {
    throw new Error('set PROBITY_TEST_POSTGRES_CONTROL to a command with the sub-commands kill and start');
  }
  for (const step of ['kill', 'start']) await promisify(execFile)('/bin/sh', ['-c', `${control} ${step}`]);
}

interface Running {
  readonly host: string;
  readonly port: number;
  readonly admin: PgCredentials;
  crash(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Roles belong to the whole server, so runs that share one must agree on the passwords: the secret is the tests' own and
 * protects nothing.
 */
const TEST_ROLE_SECRET = 'the role secret of throw-away test databases';

function testPostgres(running: Running): TestPostgres {
  const { host, port, admin } = running;
  const made = new Set<string>();
  const opened = new Set<PgDatabaseServer>();
  const templates = new Map<string, Promise<string>>();
  const at = (database: string): TestDatabaseAddress => ({
    address: { host, port, database, tls: false },
    admin,
    roleSecret: TEST_ROLE_SECRET,
  });

  const administrate = async (text: string, database = 'postgres'): Promise<void> => {
    const client = new pg.Client({ host, port, ...admin, database });
    await client.connect();
    try {
      await client.query(text);
    } finally {
      await client.end();
    }
  };
  const newName = (): string => `probity_test_${randomBytes(6).toString('hex')}`;

  const template = async (schemas: readonly SchemaName[], folders: readonly string[]): Promise<string> => {
    const name = newName();
    made.add(name);
    await administrate(`create database ${name} template template0`);
    const server = openTestServer(at(name), { migrationsFolders: folders });
    await server.migrate(schemas);
    await server.close(1_000);
    return name;
  };

  return {
    host,
    port,
    admin,
    roleSecret: TEST_ROLE_SECRET,
    async crash() {
      await running.crash();
      await eventually(
        () =>
          administrate('select 1').then(
            () => true,
            () => false,
          ),
        Boolean,
        60_000,
      );
    },
    async fresh({ schemas, migrationsFolders = [] }) {
      const names = schemas.map(schemaName);
      const folders = [...migrationsFolders, ownMigrationsFolder()];
      const key = JSON.stringify([names, folders]);
      const source = templates.get(key) ?? template(names, folders);
      templates.set(key, source);
      const name = newName();
      await administrate(`create database ${name} template ${await source}`);
      made.add(name);
      const place = at(name);
      const mine = new Set<PgDatabaseServer>();
      const keep = (server: PgDatabaseServer): PgDatabaseServer => {
        mine.add(server);
        opened.add(server);
        return server;
      };
      const open = (options: Partial<PgDatabaseServerOptions> = {}): PgDatabaseServer =>
        keep(openTestServer(place, { migrationsFolders: folders, ...options }));
      const server = open();
      // The rights on the database itself are not cloned; this sets them and finds nothing else to do.
      await server.migrate(names);
      return {
        ...place,
        server,
        open,
        forSchema: (schema) => server.forSchema(schemaName(schema)),
        openWithoutAdmin: () =>
          keep(
            new PgDatabaseServer({
              address: place.address,
              roleSecret: TEST_ROLE_SECRET,
              component: 'unit',
              clock: new SystemClock(),
              migrationsFolders: folders,
            }),
          ),
        administrate: (text) => administrate(text, name),
        async drop() {
          await Promise.all([...mine].map((each) => each.close(1_000)));
          mine.forEach((each) => opened.delete(each));
          await administrate(`drop database if exists ${name} with (force)`);
          made.delete(name);
        },
      };
    },
    async close() {
      await Promise.all([...opened].map((server) => server.close(1_000)));
      for (const name of made) await administrate(`drop database if exists ${name} with (force)`);
      await running.stop();
    },
  };
}

/** In a folder with a space in its name, since every path of the launcher must bear one. */
async function openEmbedded(): Promise<TestPostgres> {
  const root = await mkdtemp(join(tmpdir(), 'probity test '));
  // Root's servers run as another user, who has to get in; what must stay closed is closed inside.
  await chmod(root, 0o755);
  const { launched, close } = await launch(join(root, 'postgres'));
  return testPostgres({
    host: launched.address.host,
    port: launched.address.port,
    admin: launched.admin,
    crash() {
      // The number changes with each restart, so it is read and not remembered. The member in this process notices.
      const pid = Number(
        readFileSync(join(root, 'postgres', 'home', 'cluster', 'postmaster.pid'), 'utf8').split('\n')[0],
      );
      process.kill(pid, 'SIGKILL');
      return Promise.resolve();
    },
    async stop() {
      await close();
      await rm(root, { recursive: true, force: true });
    },
  });
}

async function launch(folder: string): Promise<{ launched: LaunchedServer; close: () => Promise<void> }> {
  const launcher = new Launcher({ folder, clock: new SystemClock(), durable: false });
  return { launched: await launcher.join(), close: () => launcher.leave(10_000) };
}
