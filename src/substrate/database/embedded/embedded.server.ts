import type { Health } from '../../health.js';
import { DatabaseServer, type Database, type MigrationReport, type SchemaName } from '../database.port.js';
import type { Entities, EntityKind } from '../entities.js';
import { PgDatabaseServer, type PgDatabaseServerOptions } from '../server.js';
import { Launcher, type LaunchedServer } from './launcher.js';

export interface EmbeddedServerOptions extends Omit<
  PgDatabaseServerOptions,
  'address' | 'admin' | 'roleSecret' | 'rolePasswords'
> {
  /** The database's own folder; every process that names it shares one server. */
  readonly dataFolder: string;
  /** A fixed port on loopback; any free one, kept over restarts, when left out. */
  readonly port?: number;
  /** Told when server or watchdog died and was started again (undefined), or could not be (the fault). */
  readonly onRepair?: (fault: unknown) => void;
}

/** A real Postgres of the package's own, shared by all processes with the same data folder. */
export class EmbeddedDatabaseServer extends DatabaseServer {
  readonly launched: LaunchedServer;
  readonly #launcher: Launcher;
  readonly #server: PgDatabaseServer;
  #closing: Promise<void> | undefined;

  constructor(launcher: Launcher, launched: LaunchedServer, options: EmbeddedServerOptions) {
    super();
    this.launched = launched;
    this.#launcher = launcher;
    const { address, admin, roleSecret } = launched;
    this.#server = new PgDatabaseServer({ ...options, address, admin, roleSecret });
  }

  forSchema(schema: SchemaName): Database {
    return this.#server.forSchema(schema);
  }

  migrate(schemas: readonly SchemaName[]): Promise<MigrationReport> {
    return this.#server.migrate(schemas);
  }

  verify(schemas: readonly SchemaName[]): Promise<void> {
    return this.#server.verify(schemas);
  }

  /** See `PgDatabaseServer.openEntities`. */
  openEntities(schema: SchemaName, entities: readonly EntityKind[]): Promise<Entities> {
    return this.#server.openEntities(schema, entities);
  }

  health(): Promise<Health> {
    return this.#server.health();
  }

  close(limitMs: number): Promise<void> {
    this.#closing ??= this.#close(limitMs);
    return this.#closing;
  }

  /** Connections first: the server's own end waits for none of ours then. */
  async #close(limitMs: number): Promise<void> {
    await this.#server.close(limitMs);
    await this.#launcher.leave(limitMs);
  }
}

/** Starts the server of the data folder, or joins it where it runs. @throws ProbityError DATABASE_START_FAILED and others */
export async function openEmbeddedServer(options: EmbeddedServerOptions): Promise<EmbeddedDatabaseServer> {
  const { dataFolder, clock, port, onRepair } = options;
  const launcher = new Launcher({
    folder: dataFolder,
    clock,
    ...(port === undefined ? {} : { port }),
    ...(onRepair === undefined ? {} : { onRepair }),
  });
  return new EmbeddedDatabaseServer(launcher, await launcher.join(), options);
}
