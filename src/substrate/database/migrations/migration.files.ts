import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { digestBytes, type Digest } from '../../../rails/digest.js';
import { ProbityError } from '../../../rails/errors/probity-error.js';
import type { SchemaName } from '../database.port.js';
import { nodeErrorCode } from '../node.errors.js';
import { splitScript, takesOverTransaction, type ScriptStatement } from './sql.core.js';

export interface MigrationFile {
  readonly schema: SchemaName;
  /** `0001_first_tables`: the file's name without `.sql`. */
  readonly name: string;
  /** 1, 2, 3 … without a gap. */
  readonly number: number;
  /** As an operator finds it: `migrations/<schema>/<name>.sql`. */
  readonly path: string;
  readonly sha256: Digest;
  readonly statements: readonly ScriptStatement[];
}

const FILE_NAME = /^(\d{4})_[a-z0-9]+(?:_[a-z0-9]+)*\.sql$/;

/** The package's own `migrations/`; this file lies equally deep in `src/` and `dist/`, `.build/src/` is one deeper. */
export function ownMigrationsFolder(): string {
  const here = fileURLToPath(new URL('.', import.meta.url));
  const up = /[\\/]\.build[\\/]src[\\/]/.test(here) ? '../../../../../migrations' : '../../../../migrations';
  return join(here, up);
}

/**
 * A schema's migrations in order, whole from the first folder that has some for it; none when no folder has.
 * @throws ProbityError DATABASE_MIGRATION_INVALID
 */
export async function readMigrations(
  folders: readonly string[],
  schema: SchemaName,
): Promise<readonly MigrationFile[]> {
  const listings = await Promise.all(folders.map((folder) => filesOf(folder, schema)));
  const [names] = listings.filter((listing) => listing.length > 0);
  const folder = folders.find((_, index) => listings[index] === names);
  if (names === undefined || folder === undefined) return [];
  const files = await Promise.all(names.map((name) => readMigration(folder, schema, name)));
  files.forEach((file, index) => {
    // A gap or a double is two branches that met: whichever ran first, the other would never run or run out of order.
    if (file.number !== index + 1) {
      throw invalid(file.path, `migrations are numbered without a gap, and ${numbered(index + 1)} was expected here`);
    }
  });
  return files;
}

async function filesOf(folder: string, schema: SchemaName): Promise<readonly string[]> {
  try {
    const names = await readdir(join(folder, schema));
    return names.filter((name) => name.endsWith('.sql')).sort();
  } catch (error) {
    if (nodeErrorCode(error) === 'ENOENT') return [];
    throw new ProbityError('DATABASE_MIGRATION_INVALID', `the folder ${join(folder, schema)} cannot be read`, {
      cause: error,
    });
  }
}

async function readMigration(folder: string, schema: SchemaName, fileName: string): Promise<MigrationFile> {
  const path = `migrations/${schema}/${fileName}`;
  const parts = FILE_NAME.exec(fileName);
  if (parts === null)
    throw invalid(path, 'the name of a migration is four digits, an underscore and words: 0001_first_tables.sql');
  const bytes = await readFile(join(folder, schema, fileName));
  const statements = splitScript(bytes.toString('utf8'));
  const rogue = statements.find(({ text }) => takesOverTransaction(text));
  if (rogue !== undefined) {
    throw invalid(
      `${path}:${rogue.line}`,
      'a migration runs as one transaction of the owner and must not end it or change its role',
    );
  }
  return {
    schema,
    name: fileName.slice(0, -'.sql'.length),
    number: Number(parts[1]),
    path,
    sha256: digestBytes(bytes),
    statements,
  };
}

function invalid(place: string, reason: string): ProbityError {
  return new ProbityError('DATABASE_MIGRATION_INVALID', `${place}: ${reason}`);
}

function numbered(number: number): string {
  return String(number).padStart(4, '0');
}
