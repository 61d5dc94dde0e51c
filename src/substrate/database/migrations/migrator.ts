import type { DataSource, MigrationInterface, QueryRunner } from 'typeorm';
import pg from 'pg';
import { isProbityError, ProbityError } from '../../../rails/errors/probity-error.js';
import type { AppliedMigration, MigrationReport, Queryable, SchemaName } from '../database.port.js';
import { pgConfig, type PgAddress, type PgCredentials, type PgLimits } from '../pg.connection.js';
import { driverErrorOf, sqlstateOf, toDatabaseError } from '../pg.errors.js';
import { PgSession } from '../pg.session.js';
import { OWNER_ROLE } from '../roles.js';
import { readMigrations, type MigrationFile } from './migration.files.js';
import { pendingMigrations, storedName, type AppliedRow } from './plan.core.js';
import { provision, type RoleLogin } from './provision.js';
import { lineAt } from './sql.core.js';
import { SILENT } from '../typeorm.log.js';

export interface MigratorOptions {
  readonly address: PgAddress;
  readonly admin: PgCredentials;
  readonly limits: PgLimits;
  readonly folders: readonly string[];
  readonly applicationName: string;
}

/**
 * How long a process waits while another migrates. A migration that builds a large index takes minutes; whoever starts
 * meanwhile had better wait for it than fail.
 */
const OTHERS_WAIT_MS = 600_000;
/** DDL that waits for a lock stops everybody behind it, so it gives up and leaves the database as it was. */
const DDL_LOCK_TIMEOUT_MS = 30_000;
/** Any constant; the two halves of the advisory lock are this and the schema's name (0: provisioning). */
const LOCK_SPACE = 0x50524f42; // "PROB"

/**
 * Brings schemas up to date. Two locks make it safe in any number of processes: one on the administrator's session for roles
 * and schemas, and one per schema **on the very connection that applies its files**: were the lock held by another
 * connection, that one could die and let a second process in while the first still works.
 */
export class Migrator {
  readonly #options: MigratorOptions;

  constructor(options: MigratorOptions) {
    this.#options = options;
  }

  async migrate(logins: readonly RoleLogin[]): Promise<MigrationReport> {
    const schemas = logins.map(({ schema }) => schema);
    const files = await Promise.all(schemas.map((schema) => readMigrations(this.#options.folders, schema)));
    const bySchema = new Map(schemas.map((schema, index) => [schema, files[index] ?? []]));
    const pending = await this.#prepare(logins, bySchema);
    const applied: AppliedMigration[] = [];
    // One after the other, in the order given: a schema's files may refer to those before it (the shared schema first).
    for (const schema of pending) applied.push(...(await this.#apply(schema, bySchema.get(schema) ?? [])));
    return { applied, total: files.reduce((sum, list) => sum + list.length, 0) };
  }

  /** Roles and schemas; then which schemas have files to apply. */
  async #prepare(
    logins: readonly RoleLogin[],
    files: ReadonlyMap<SchemaName, readonly MigrationFile[]>,
  ): Promise<readonly SchemaName[]> {
    const admin = await PgSession.open(this.#config('pg_catalog'), 'admin');
    try {
      await admin.query(`set statement_timeout = ${OTHERS_WAIT_MS}; set lock_timeout = 0`);
      await admin.query('select pg_advisory_lock($1, 0)', [LOCK_SPACE]);
      await admin.query(`set lock_timeout = ${DDL_LOCK_TIMEOUT_MS}`);
      await retryingRaces(() => provision(admin, logins));
      const applied = await appliedRows(admin, [...files.keys()]);
      return [...files].flatMap(([schema, list]) =>
        pendingMigrations(schema, applied.get(schema) ?? [], list).length > 0 ? [schema] : [],
      );
    } finally {
      await admin.close();
    }
  }

  async #apply(schema: SchemaName, files: readonly MigrationFile[]): Promise<readonly AppliedMigration[]> {
    // Loaded here and not above: it takes half a second, and most starts have nothing to migrate.
    const { DataSource, MigrationExecutor } = await import('typeorm');
    const source = new DataSource({
      type: 'postgres',
      driver: pg,
      schema,
      migrationsTableName: 'migrations',
      migrations: files.map(migrationClass),
      installExtensions: false,
      logging: false,
      logger: SILENT,
      poolErrorHandler: () => undefined,
      poolSize: 1,
      extra: this.#config(schema, OWNER_ROLE),
    });
    try {
      await source.initialize();
      const runner = source.createQueryRunner();
      await runner.query(`set statement_timeout = 0; set lock_timeout = 0`);
      await runner.query('select pg_advisory_lock($1, hashtext($2))', [LOCK_SPACE, schema]);
      await runner.query(`set lock_timeout = ${DDL_LOCK_TIMEOUT_MS}`);
      // Whoever held the lock before may have applied them.
      await demandKnownPast(runner, schema, files);
      const executor = new MigrationExecutor(source, runner);
      executor.transaction = 'each';
      const done = await executor.executePendingMigrations();
      return files
        .filter((file) => done.some(({ name }) => name === storedName(file)))
        .map(({ name }) => ({ schema, name }));
    } catch (error) {
      throw toDatabaseError(driverErrorOf(error), { phase: 'statement', schema });
    } finally {
      await close(source);
    }
  }

  #config(searchPath: string, role?: string): pg.ClientConfig {
    const { address, admin, limits, applicationName } = this.#options;
    const config = pgConfig(address, admin, limits, { searchPath, applicationName });
    return {
      ...config,
      // The server's limits are set by statement where they differ; the driver's own must not cut a long index build.
      query_timeout: 0,
      ...(role === undefined ? {} : { options: `${config.options ?? ''} -c role=${role}` }),
    };
  }
}

async function close(source: DataSource): Promise<void> {
  if (source.isInitialized) await source.destroy().catch(() => undefined);
}

async function demandKnownPast(
  runner: QueryRunner,
  schema: SchemaName,
  files: readonly MigrationFile[],
): Promise<void> {
  const text = `select name, sha256 from ${pg.escapeIdentifier(schema)}.migrations order by id`;
  const rows = (await runner.query(text, [], true)).records as AppliedRow[]; // The columns are those of the statement.
  pendingMigrations(schema, rows, files);
}

/** One query for all schemas, however many. */
async function appliedRows(
  admin: Queryable,
  schemas: readonly SchemaName[],
): Promise<ReadonlyMap<SchemaName, readonly AppliedRow[]>> {
  const parts = schemas.map(
    (schema) => `select '${schema}' as schema, id, name, sha256 from ${pg.escapeIdentifier(schema)}.migrations`,
  );
  const { rows } = await admin.query<AppliedRow & { schema: SchemaName }>(
    `${parts.join(' union all ')} order by schema, id`,
  );
  return new Map(schemas.map((schema) => [schema, rows.filter((row) => row.schema === schema)]));
}

/**
 * Roles belong to the whole server, and advisory locks to one database: two databases of one server that are set up at
 * once may collide over a role. Looking again is the answer: what the other one made is then there.
 */
async function retryingRaces(work: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await work();
      return;
    } catch (fault) {
      const state = isProbityError(fault) ? fault.data['sqlstate'] : undefined;
      if (attempt === 10 || !['42710', '23505', 'XX000', '42704'].includes(String(state))) throw fault;
    }
  }
}

/** TypeORM's form of a migration: a class with `up` and `down`, made from a file. */
function migrationClass(file: MigrationFile): new () => MigrationInterface {
  return class implements MigrationInterface {
    readonly name = storedName(file);

    async up(runner: QueryRunner): Promise<void> {
      // The table's default for sha256 reads it, so that TypeORM's own insert records the digest in the same transaction.
      await runner.query(`select set_config('probity.migration_sha256', $1, true)`, [file.sha256]);
      for (const statement of file.statements) {
        try {
          await runner.query(statement.text);
        } catch (error) {
          throw failure(file, statement, driverErrorOf(error));
        }
      }
    }

    down(): Promise<void> {
      const detail = `${file.path}: migrations only go forward; write the correction as a new file`;
      return Promise.reject(new ProbityError('DATABASE_MIGRATION_INVALID', detail));
    }
  };
}

/** Names the file and the line: of the very token where the server tells its position, else of the statement. */
function failure(file: MigrationFile, statement: MigrationFile['statements'][number], error: unknown): ProbityError {
  const mapped = toDatabaseError(error, { phase: 'statement', schema: file.schema, statement: statement.text });
  if (sqlstateOf(error) === undefined) return mapped;
  const position = mapped.data['position'];
  const line = statement.line + (typeof position === 'number' ? lineAt(statement.text, position - 1) - 1 : 0);
  return new ProbityError('DATABASE_MIGRATION_INVALID', `${file.path}:${line}: ${mapped.detail}`, {
    data: { ...mapped.data, file: file.path, line, statement: file.statements.indexOf(statement) + 1 },
  });
}
