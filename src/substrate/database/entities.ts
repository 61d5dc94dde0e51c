import pg from 'pg';
import { DataSource, type EntityManager, type EntitySchema, type QueryRunner } from 'typeorm';
import { isProbityError } from '../../rails/errors/probity-error.js';
import type { SchemaName, TransactionOptions } from './database.port.js';
import { driverErrorOf, toDatabaseError, type DriverPhase } from './pg.errors.js';
import { SILENT } from './typeorm.log.js';

/** An entity class with TypeORM's decorators, or a schema that describes one. */
export type EntityKind = (abstract new (...values: never[]) => object) | EntitySchema;

export interface EntitiesOptions {
  readonly schema: SchemaName;
  /** The login of the schema's own role: entities have no more rights than statements. */
  readonly config: pg.ClientConfig;
  readonly entities: readonly EntityKind[];
  readonly connectionsMax: number;
}

/**
 * TypeORM for the control-plane units, whose few rows are worth a mapper. Tables come from migrations alone
 * (`synchronize` is off), and what goes wrong has the same codes as everywhere.
 */
export class Entities {
  readonly schema: SchemaName;
  readonly #source: DataSource;

  private constructor(schema: SchemaName, source: DataSource) {
    this.schema = schema;
    this.#source = source;
  }

  static async open({ schema, config, entities, connectionsMax }: EntitiesOptions): Promise<Entities> {
    const source = new DataSource({
      type: 'postgres',
      driver: pg,
      schema,
      // TypeORM's list type is of mutable arrays of Function, which a constructor is.
      entities: [...entities] as (EntitySchema | (new () => object))[],
      synchronize: false,
      installExtensions: false,
      logging: false,
      logger: SILENT,
      poolErrorHandler: () => undefined,
      extra: { ...config, max: connectionsMax },
    });
    try {
      await source.initialize();
    } catch (error) {
      throw toDatabaseError(driverErrorOf(error), { phase: 'connect', schema });
    }
    return new Entities(schema, source);
  }

  /**
   * One transaction: commits when the work resolves, rolls back when it rejects.
   * @throws ProbityError with a DATABASE_ code, or what the work threw
   */
  async transaction<Result>(
    work: (manager: EntityManager) => Promise<Result>,
    options: Pick<TransactionOptions, 'isolation' | 'readOnly'> = {},
  ): Promise<Result> {
    const runner = this.#source.createQueryRunner();
    let phase: DriverPhase = 'connect';
    try {
      await runner.connect();
      phase = 'statement';
      await runner.startTransaction();
      await setModes(runner, options);
      const result = await work(runner.manager);
      // A transaction in which a statement failed answers COMMIT by ROLLBACK and without an error, and TypeORM takes that
      // for success. This statement fails in such a transaction, so nothing is called stored that is not.
      await runner.query('select 1');
      phase = 'commit';
      await runner.commitTransaction();
      return result;
    } catch (error) {
      const fault = this.#mapped(error, { phase, readOnly: options.readOnly ?? false });
      if (runner.isTransactionActive) await rollBack(runner);
      throw fault;
    } finally {
      await runner.release();
    }
  }

  async close(): Promise<void> {
    if (this.#source.isInitialized) await this.#source.destroy();
  }

  /** The work's own errors pass as they are; only what the driver said is translated. */
  #mapped(error: unknown, how: { readonly phase: DriverPhase; readonly readOnly: boolean }): unknown {
    const driverError = driverErrorOf(error);
    if (isProbityError(error)) return error;
    if (driverError === error && how.phase === 'statement') return error;
    return toDatabaseError(driverError, { ...how, schema: this.schema });
  }
}

async function setModes(runner: QueryRunner, { isolation, readOnly }: TransactionOptions): Promise<void> {
  const modes = [
    ...(isolation === undefined ? [] : [`isolation level ${isolation}`]),
    ...(readOnly === true ? ['read only'] : []),
  ];
  if (modes.length > 0) await runner.query(`set transaction ${modes.join(', ')}`);
}

async function rollBack(runner: QueryRunner): Promise<void> {
  try {
    await runner.rollbackTransaction();
  } catch {
    // What state the connection is in nobody knows, so nobody may get it from the pool again.
    const client = (await runner.connect()) as pg.Client; // TypeORM's connection is the driver's.
    await client.end().catch(() => undefined);
  }
}
