import { ProbityError } from '../../../rails/errors/probity-error.js';
import type { MigrationFile } from './migration.files.js';

/** A row of a schema's `migrations` table. */
export interface AppliedRow {
  readonly name: string;
  readonly sha256: string;
}

/** The name as TypeORM stores it: it wants the last 13 characters to be a number that orders the migrations. */
export function storedName(file: { readonly name: string; readonly number: number }): string {
  return `${file.name}-${String(file.number).padStart(13, '0')}`;
}

/**
 * Which files are still to be applied. What was applied must be the beginning of what there is, byte for byte.
 * @throws ProbityError DATABASE_SCHEMA_AHEAD, DATABASE_MIGRATION_CHANGED
 */
export function pendingMigrations(
  schema: string,
  applied: readonly AppliedRow[],
  files: readonly MigrationFile[],
): readonly MigrationFile[] {
  applied.forEach((row, index) => {
    const file = files[index];
    if (file === undefined || storedName(file) !== row.name) {
      const known = files.some((other) => storedName(other) === row.name);
      throw known
        ? new ProbityError(
            'DATABASE_MIGRATION_CHANGED',
            `schema ${schema}: ${row.name} was applied as number ${index + 1}, and its file now has another number`,
          )
        : new ProbityError(
            'DATABASE_SCHEMA_AHEAD',
            `schema ${schema} has ${row.name}, which this program does not know`,
          );
    }
    if (file.sha256 !== row.sha256) {
      throw new ProbityError(
        'DATABASE_MIGRATION_CHANGED',
        `${file.path} was applied with sha-256 ${row.sha256} and now has ${file.sha256}`,
      );
    }
  });
  return files.slice(applied.length);
}

/** @throws ProbityError DATABASE_SCHEMA_BEHIND besides those of `pendingMigrations` */
export function demandUpToDate(schema: string, applied: readonly AppliedRow[], files: readonly MigrationFile[]): void {
  const [next] = pendingMigrations(schema, applied, files);
  if (next !== undefined) {
    throw new ProbityError(
      'DATABASE_SCHEMA_BEHIND',
      `schema ${schema} lacks ${next.path}${applied.length === 0 ? ' and all before it' : ''}`,
    );
  }
}
