import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect } from '@jest/globals';
import { isProbityError, type ProbityError } from '../../../rails/errors/probity-error.js';
import type { ErrorCode } from '../../../rails/errors/registry.js';
import type { Database } from '../database.port.js';
import type { PgAddress } from '../pg.connection.js';
import { schemaName } from '../roles.js';
import type { PgDatabaseServer, PgDatabaseServerOptions } from '../server.js';

/** A case may wait for a server's restart and recovery. */
export const CASE_LIMIT_MS = 60_000;

/** A migrated database of its own on the server under test. */
export interface FreshDatabase {
  readonly address: PgAddress;
  readonly server: PgDatabaseServer;
  forSchema(schema: string): Database;
  /** A server object of its own, as another process would have it; closed when the database is dropped. */
  open(options?: Partial<PgDatabaseServerOptions>): PgDatabaseServer;
  /** As a unit's process is wired in production: with the role secret and no administrator. */
  openWithoutAdmin(): PgDatabaseServer;
  /** Closes what was opened on it and drops it: a restart after a crash brings every file of every database to the disk. */
  drop(): Promise<void>;
  /** Runs a text as the administrator; what goes wrong is the driver's own error. */
  administrate(text: string): Promise<void>;
}

export interface DatabaseHarness {
  fresh(options: {
    readonly schemas: readonly string[];
    readonly migrationsFolders: readonly string[];
  }): Promise<FreshDatabase>;
  /** SIGKILL to the server; resolves when it takes connections again, at the same address. */
  crash(): Promise<void>;
  close(): Promise<void>;
}

export type TheHarness = () => DatabaseHarness;

export const ALPHA = schemaName('alpha');
export const BETA = schemaName('beta');

/** Two units' schemas: alpha has mutable, append-only, partitioned and constrained tables; beta has one of its own. */
const FIXTURE: Readonly<Record<string, string>> = {
  'alpha/0001_tables.sql': `
    create table alpha.item (id bigint primary key, note text not null, at timestamptz not null default now());
    create table alpha.fact (id bigint primary key, item bigint references alpha.item (id), body text not null);
    select probity.make_append_only('alpha.fact');
    create table alpha.log (id bigint not null, part int not null) partition by list (part);
    create table alpha.log_one partition of alpha.log for values in (1);
    select probity.make_append_only('alpha.log');
    create table alpha.slot (id bigint primary key, owner bigint,
      constraint slot_owner_taken unique (owner) deferrable initially deferred);
    create table alpha.parent (id bigint primary key);
    create table alpha.child (id bigint references alpha.parent (id) on delete cascade);
    select probity.make_append_only('alpha.child');`,
  'alpha/0002_functions.sql': `
    create function alpha.trim_facts() returns void language sql security definer
      set search_path = pg_catalog, pg_temp as $$ delete from alpha.fact; $$;`,
  'beta/0001_tables.sql': `
    create table beta.own (id bigint primary key);
    create function beta.shared(value bigint) returns bigint language sql security definer
      set search_path = pg_catalog, pg_temp as $$ select value + 1; $$;
    grant usage on schema beta to probity_unit;
    grant execute on function beta.shared to probity_unit;
    create function beta.private() returns int language sql as $$ select 1; $$;`,
};

export interface MigrationFolder {
  readonly path: string;
  write(file: string, sql: string): Promise<void>;
  remove(): Promise<void>;
}

/** A folder of migrations in the temporary folder, with these files in it. */
export async function migrationFolder(files: Readonly<Record<string, string>> = FIXTURE): Promise<MigrationFolder> {
  const path = await mkdtemp(join(tmpdir(), 'probity-migrations-'));
  const write = async (file: string, sql: string): Promise<void> => {
    await mkdir(dirname(join(path, file)), { recursive: true });
    await writeFile(join(path, file), sql);
  };
  await Promise.all(Object.entries(files).map(([file, sql]) => write(file, sql)));
  return { path, write, remove: () => rm(path, { recursive: true, force: true }) };
}

/** The error that a call ends in; a call that succeeds fails the case. */
export async function faultOf(call: Promise<unknown>): Promise<ProbityError> {
  const outcome: unknown = await call.then(
    () => 'it succeeded',
    (fault: unknown) => fault,
  );
  if (isProbityError(outcome)) return outcome;
  throw new Error(`expected a ProbityError, got ${outcome instanceof Error ? (outcome.stack ?? '') : String(outcome)}`);
}

export async function expectCode(call: Promise<unknown>, code: ErrorCode): Promise<ProbityError> {
  const fault = await faultOf(call);
  expect(fault.message).toContain(code);
  expect(fault.code).toBe(code);
  return fault;
}

/** A wire between client and server that is cut when the client says a word. */
export interface CuttingWire {
  readonly address: PgAddress;
  /** The next chunk from the client with this word is handed on, or not, and then the wire is cut. */
  cutAt(word: string, options: { readonly handOn: boolean }): void;
  close(): Promise<void>;
}

export async function cuttingWire(to: PgAddress): Promise<CuttingWire> {
  const sockets = new Set<Socket>();
  let cut: { word: string; handOn: boolean } | undefined;
  const wire = createServer((client) => {
    const server = connect(to.port, to.host);
    for (const socket of [client, server]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        client.destroy();
        server.destroy();
      });
    }
    server.pipe(client);
    client.on('data', (chunk) => {
      if (cut === undefined || !chunk.includes(cut.word)) {
        server.write(chunk);
        return;
      }
      // The client goes first, so that it cannot hear the answer of what is handed on.
      client.unpipe();
      server.unpipe(client);
      if (cut.handOn) server.end(chunk);
      else server.destroy();
      cut = undefined;
      client.resetAndDestroy();
    });
  });
  await new Promise<void>((resolve) => wire.listen(0, '127.0.0.1', resolve));
  const { port } = wire.address() as AddressInfo; // It listens on TCP.
  return {
    address: { ...to, host: '127.0.0.1', port },
    cutAt: (word, { handOn }) => {
      cut = { word, handOn };
    },
    async close() {
      sockets.forEach((socket) => socket.destroy());
      await new Promise((resolve) => wire.close(resolve));
    },
  };
}
