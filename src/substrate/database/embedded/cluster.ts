import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ProbityError } from '../../../rails/errors/probity-error.js';
import type { Account } from './account.js';
import type { Binaries } from './binaries.js';
import { explainServerText } from './explain.js';
import { explaining, give, syncFolder, type Layout } from './layout.js';

export const ADMIN_USER = 'probity_admin';
export const DATABASE_NAME = 'probity';

export interface ClusterOptions {
  readonly adminPassword: string;
  /** False leaves it to the system when the cluster reaches the disk. */
  readonly durable: boolean;
}

/**
 * Makes the cluster where there is none. It is built under another name and renamed when all is done, so that a cluster
 * under its own name is whole: a process killed in the middle leaves only rubbish for the next start to sweep.
 */
export async function ensureCluster(layout: Layout, binaries: Binaries, options: ClusterOptions): Promise<void> {
  sweep(layout);
  if (existsSync(layout.cluster)) {
    demandVersion(layout, binaries);
    return;
  }
  const half = join(layout.home, `cluster.half.${randomUUID()}`);
  const passwordFile = join(layout.home, `password.half.${randomUUID()}`);
  explaining(layout.folder, () => {
    writeFileSync(passwordFile, `${options.adminPassword}\n`, { mode: 0o600 });
    give(passwordFile, layout.account);
  });
  try {
    await initdb(layout, binaries, half, passwordFile, options.durable);
    await createDatabase(layout, binaries, half);
    renameSync(half, layout.cluster);
    syncFolder(layout.home);
  } finally {
    rmSync(passwordFile, { force: true });
    rmSync(half, { recursive: true, force: true });
  }
}

/**
 * The encoding and the order of text are the server's own (`builtin`), not the system's: the same words sort the same on
 * every machine, and an update of the C library cannot break an index. Initdb brings all to the disk before it ends.
 */
async function initdb(
  layout: Layout,
  binaries: Binaries,
  folder: string,
  passwordFile: string,
  durable: boolean,
): Promise<void> {
  const args = [
    ...['--pgdata', folder, '--username', ADMIN_USER, '--pwfile', passwordFile, '--auth', 'scram-sha-256'],
    ...['--encoding', 'UTF8', '--locale', 'C', '--locale-provider', 'builtin', '--builtin-locale', 'C.UTF-8'],
    '--data-checksums',
    ...(durable ? [] : ['--no-sync']),
  ];
  await runToEnd(layout, join(binaries.home, 'bin', 'initdb'), args, '');
}

/** In single-user mode, before anybody can connect: it belongs to the making of the cluster. */
async function createDatabase(layout: Layout, binaries: Binaries, folder: string): Promise<void> {
  const args = ['--single', '-D', folder, '-c', 'exit_on_error=true', 'postgres'];
  await runToEnd(layout, join(binaries.home, 'bin', 'postgres'), args, `create database ${DATABASE_NAME}\n`);
}

async function runToEnd(layout: Layout, program: string, args: readonly string[], input: string): Promise<void> {
  const child = spawn(program, args, { ...spawnOptions(layout.account, layout.home), stdio: ['pipe', 'pipe', 'pipe'] });
  let output = '';
  const collect = (text: string): void => {
    output = (output + text).slice(-8_192);
  };
  child.stdout.setEncoding('utf8').on('data', collect);
  child.stderr.setEncoding('utf8').on('data', collect);
  // A program that ends before it reads its input breaks the pipe; its exit code says what matters.
  child.stdin.on('error', () => undefined).end(input);
  const [code, killedBy] = (await once(child, 'close')) as [number | null, string | null]; // As Node documents it.
  if (code !== 0) throw explainServerText(layout, output, `${program} ended with ${code ?? killedBy ?? 'nothing'}`);
}

/** Nothing of this process's environment: PGDATA, PGOPTIONS or a locale of the caller must not change the server. */
export function spawnOptions(
  account: Account,
  cwd: string,
): { readonly cwd: string; readonly env: Record<string, string>; readonly uid?: number; readonly gid?: number } {
  return { cwd, env: { PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C', TZ: 'UTC' }, ...account.ids };
}

/** @throws ProbityError DATABASE_DATA_VERSION, CONFIG_DATA_FOLDER */
function demandVersion(layout: Layout, binaries: Binaries): void {
  const file = join(layout.cluster, 'PG_VERSION');
  if (!existsSync(file)) {
    throw new ProbityError('CONFIG_DATA_FOLDER', `${layout.cluster} is no Postgres cluster: it lacks PG_VERSION`);
  }
  const version = explaining(layout.folder, () => readFileSync(file, 'utf8').trim());
  if (version !== binaries.majorVersion) {
    throw new ProbityError(
      'DATABASE_DATA_VERSION',
      `${layout.folder} was made by Postgres ${version}, and this program brings Postgres ${binaries.majorVersion}`,
    );
  }
}

/** Called under the start lock, so whatever is half has lost its maker. */
function sweep({ home, folder }: Layout): void {
  explaining(folder, () => {
    for (const name of readdirSync(home)) {
      // An initdb whose parent was killed may still be writing into its folder: what cannot be removed now, the next
      // start removes.
      if (name.includes('.half.')) rmSync(join(home, name), { recursive: true, force: true, maxRetries: 5 });
    }
  });
}
