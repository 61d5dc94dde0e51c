import type pg from 'pg';
import type { Clock } from '../clock/clock.port.js';
import type { Health } from '../health.js';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import { DatabaseServer, type Database, type MigrationReport, type SchemaName } from './database.port.js';
import type { Entities, EntityKind } from './entities.js';
import { ownMigrationsFolder, readMigrations } from './migrations/migration.files.js';
import { Migrator } from './migrations/migrator.js';
import { demandUpToDate, type AppliedRow } from './migrations/plan.core.js';
import type { RoleLogin } from './migrations/provision.js';
import { DEFAULT_LIMITS, pgConfig, type PgAddress, type PgCredentials, type PgLimits } from './pg.connection.js';
import { PgDatabase } from './pg.database.js';
import { demandStrongSecret, derivePassword, roleOf, SHARED_SCHEMA, schemaName } from './roles.js';

export interface PgDatabaseServerOptions {
  readonly address: PgAddress;
  /** An administrator: may create roles and owns the database. Needed by `migrate` alone; a unit's process runs without. */
  readonly admin?: PgCredentials;
  /** What every role's password is derived from; 32 characters at least. */
  readonly roleSecret: string;
  /** Roles whose password is given and not derived. */
  readonly rolePasswords?: ReadonlyMap<SchemaName, string>;
  /** Who connects, for `application_name`: a process in words, such as `ig,df`. */
  readonly component: string;
  readonly clock: Clock;
  /**
   * Folders with a folder of SQL files per schema, searched in order; a schema is taken whole from the first that has it.
   * The package's own alone when left out.
   */
  readonly migrationsFolders?: readonly string[];
  readonly limits?: Partial<PgLimits>;
  /** Most pooled connections of one schema in this process. */
  readonly connectionsMax?: number;
  readonly idleTimeoutMs?: number;
  readonly onHookFault?: (fault: unknown) => void;
}

/**
 * A pool per schema. A unit's statements are sequences of short ones, so few connections carry much: sixteen units with six
 * each stay under a hundred, half of what the embedded server allows.
 */
const CONNECTIONS_MAX = 6;
const IDLE_TIMEOUT_MS = 30_000;
const ENTITY_CONNECTIONS_MAX = 3;

/** A Postgres server that can be reached at an address. It needs nothing of where that server comes from. */
export class PgDatabaseServer extends DatabaseServer {
  readonly #options: PgDatabaseServerOptions;
  readonly #limits: PgLimits;
  readonly #folders: readonly string[];
  readonly #doors = new Map<SchemaName, PgDatabase>();
  readonly #entities: Entities[] = [];
  #closing: Promise<void> | undefined;

  constructor(options: PgDatabaseServerOptions) {
    super();
    demandStrongSecret(options.roleSecret);
    this.#options = options;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#folders = options.migrationsFolders ?? [ownMigrationsFolder()];
  }

  forSchema(schema: SchemaName): Database {
    return this.#door(schema);
  }

  /**
   * TypeORM's entities of one schema, under that schema's own role; closed with the server. Loaded when first asked for,
   * because TypeORM takes half a second that a process without entities need not spend.
   */
  async openEntities(schema: SchemaName, entities: readonly EntityKind[]): Promise<Entities> {
    const { Entities: Opener } = await import('./entities.js');
    const opened = await Opener.open({
      schema,
      config: this.#config(schema),
      entities,
      connectionsMax: ENTITY_CONNECTIONS_MAX,
    });
    this.#entities.push(opened);
    return opened;
  }

  async migrate(schemas: readonly SchemaName[]): Promise<MigrationReport> {
    const { address, admin } = this.#options;
    if (admin === undefined) {
      throw new ProbityError(
        'DATABASE_FORBIDDEN',
        'migrating takes the credentials of an administrator, and this process has none',
      );
    }
    const migrator = new Migrator({
      address,
      admin,
      limits: this.#limits,
      folders: this.#folders,
      applicationName: `probity:${this.#options.component}:migrate`,
    });
    return await migrator.migrate(withShared(schemas).map((schema) => this.#login(schema)));
  }

  async verify(schemas: readonly SchemaName[]): Promise<void> {
    await Promise.all(withShared(schemas).map((schema) => this.#verify(schema)));
  }

  async health(): Promise<Health> {
    const { clock } = this.#options;
    const startedMs = clock.monotonicMs();
    const answer = await this.#door(SHARED_SCHEMA)
      .query({ text: 'select 1', readOnly: true })
      .then(() => ({ ok: true, detail: 'the database answered a query' }))
      .catch((fault: unknown) => ({ ok: false, detail: isProbityError(fault) ? fault.message : 'the query failed' }));
    return { ...answer, tookMs: clock.monotonicMs() - startedMs };
  }

  close(limitMs: number): Promise<void> {
    this.#closing ??= this.#close(limitMs);
    return this.#closing;
  }

  async #close(limitMs: number): Promise<void> {
    const doors = [...this.#doors.values()].map((door) => door.close(limitMs));
    await Promise.all([...doors, ...this.#entities.map((entities) => entities.close())]);
  }

  #door(schema: SchemaName): PgDatabase {
    const known = this.#doors.get(schema);
    if (known !== undefined) return known;
    if (this.#closing !== undefined) throw new ProbityError('DATABASE_UNAVAILABLE', 'the database has been closed');
    const { connectionsMax, idleTimeoutMs, onHookFault } = this.#options;
    const door = new PgDatabase({
      schema,
      config: this.#config(schema),
      connectionsMax: connectionsMax ?? CONNECTIONS_MAX,
      idleTimeoutMs: idleTimeoutMs ?? IDLE_TIMEOUT_MS,
      onHookFault: onHookFault ?? warn,
    });
    this.#doors.set(schema, door);
    return door;
  }

  #config(schema: SchemaName): pg.ClientConfig {
    const { address, component } = this.#options;
    const { password } = this.#login(schema);
    return pgConfig(address, { user: roleOf(schema), password }, this.#limits, {
      searchPath: schema,
      applicationName: `probity:${component}:${schema}`,
    });
  }

  #login(schema: SchemaName): RoleLogin {
    const given = this.#options.rolePasswords?.get(schemaName(schema));
    return { schema, password: given ?? derivePassword(this.#options.roleSecret, roleOf(schema)) };
  }

  async #verify(schema: SchemaName): Promise<void> {
    const [files, applied] = await Promise.all([readMigrations(this.#folders, schema), this.#applied(schema)]);
    demandUpToDate(schema, applied, files);
  }

  /** What a schema's own role sees of its history: nothing, where the schema has never been migrated. */
  async #applied(schema: SchemaName): Promise<readonly AppliedRow[]> {
    try {
      const text = 'select name, sha256 from migrations order by id';
      return (await this.#door(schema).query<AppliedRow>({ text, readOnly: true })).rows;
    } catch (fault) {
      // 42P01: there is no such table.
      if (isProbityError(fault) && fault.data['sqlstate'] === '42P01') return [];
      throw fault;
    }
  }
}

/** The shared schema comes first: the others' migrations call its functions. */
function withShared(schemas: readonly SchemaName[]): readonly SchemaName[] {
  return [...new Set([SHARED_SCHEMA, ...schemas.map(schemaName)])];
}

function warn(fault: unknown): void {
  process.emitWarning(fault instanceof Error ? fault : String(fault), 'AfterCommitHookWarning');
}
