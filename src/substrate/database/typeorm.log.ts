import type { Logger } from 'typeorm';

/**
 * TypeORM writes to standard output, also with `logging: false`: that a migration failed, for one. There our commands
 * answer with JSON, and its sentences quote statements; what went wrong is told by the error that is thrown.
 */
export const SILENT: Logger = {
  logQuery: () => undefined,
  logQueryError: () => undefined,
  logQuerySlow: () => undefined,
  logSchemaBuild: () => undefined,
  logMigration: () => undefined,
  log: () => undefined,
};
