import { randomBytes, randomUUID } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { isProbityError, ProbityError } from '../../../rails/errors/probity-error.js';
import { nodeErrorCode } from '../node.errors.js';
import { canReach, chooseAccount, type Account } from './account.js';

/**
 * What lies where. The folder is the operator's; its `home` belongs to the account that runs the server and may be a
 * link to a place that this account can reach.
 *
 *     <folder>/secrets.json     0600: administrator's password and role secret
 *     <folder>/start.lock       held while a process looks after the server
 *     <folder>/home/            0700
 *       cluster/                the data; stands only when initdb has finished
 *       members                 FIFO that every member process holds open for writing
 *       watchdog                number and birth of the process that reads it
 *       port                    the last port, so that a restart keeps it
 *       postgres.log            what the server says
 */
export interface Layout {
  readonly folder: string;
  readonly secretsFile: string;
  readonly lockFile: string;
  readonly home: string;
  readonly cluster: string;
  readonly members: string;
  readonly watchdogFile: string;
  readonly portFile: string;
  readonly logFile: string;
  readonly account: Account;
  /** Where copies of the programs go when the account cannot reach the installed ones. */
  readonly copiesFolder: string;
}

export interface Secrets {
  readonly adminPassword: string;
  readonly roleSecret: string;
}

/** Reachable for every account and kept over reboots; used by root alone, when the data folder is closed to others. */
const SYSTEM_FOLDER = '/var/lib/probity';
/** Postgres keeps paths in 1,024 bytes and appends up to about a hundred of its own. */
const PATH_BYTES_MAX = 900;

/** Makes what is missing of the folders. @throws ProbityError CONFIG_DATA_FOLDER */
export function prepareLayout(folderGiven: string): Layout {
  return explaining(folderGiven, () => {
    mkdirSync(folderGiven, { recursive: true, mode: 0o755 });
    const folder = realpathSync(folderGiven);
    const account = chooseAccount(folder);
    const link = join(folder, 'home');
    if (!existsSync(link)) makeHome(folder, link, account);
    const home = realpathSync(link);
    const bytes = Buffer.byteLength(join(home, 'cluster'));
    if (bytes > PATH_BYTES_MAX) {
      const detail = `the path ${folder.slice(0, 40)}… has ${bytes} bytes and the database takes ${PATH_BYTES_MAX}: choose a shorter one`;
      throw new ProbityError('CONFIG_DATA_FOLDER', detail);
    }
    return {
      folder,
      secretsFile: join(folder, 'secrets.json'),
      lockFile: join(folder, 'start.lock'),
      home,
      cluster: join(home, 'cluster'),
      members: join(home, 'members'),
      watchdogFile: join(home, 'watchdog'),
      portFile: join(home, 'port'),
      logFile: join(home, 'postgres.log'),
      account,
      copiesFolder: account.ids === undefined ? join(folder, 'programs') : SYSTEM_FOLDER,
    };
  });
}

function makeHome(folder: string, link: string, account: Account): void {
  if (account.ids === undefined || canReach(account, folder)) {
    mkdirSync(link, { recursive: true, mode: 0o700 });
    give(link, account);
    return;
  }
  // A name of its own and not one derived from the folder's: a folder that is deleted and made again must not find the
  // cluster of its predecessor, whose password it does not have.
  const elsewhere = join(SYSTEM_FOLDER, randomUUID());
  mkdirSync(elsewhere, { recursive: true, mode: 0o700 });
  chmodSync(SYSTEM_FOLDER, 0o755);
  give(elsewhere, account);
  symlinkSync(elsewhere, link);
}

/** Hands something to the account. */
export function give(path: string, { ids }: Account): void {
  if (ids !== undefined) chownSync(path, ids.uid, ids.gid);
}

/** The secrets of this data folder, made at the first start. Call it under the start lock. */
export function readOrMakeSecrets(layout: Layout): Secrets {
  const { secretsFile, cluster, folder } = layout;
  return explaining(folder, () => {
    if (existsSync(secretsFile)) return parseSecrets(secretsFile);
    if (existsSync(cluster)) {
      throw new ProbityError(
        'CONFIG_DATA_FOLDER',
        `${secretsFile} is missing, and without it nobody can log in to the database beside it: restore it from a copy`,
      );
    }
    const secrets = {
      adminPassword: randomBytes(32).toString('base64url'),
      roleSecret: randomBytes(32).toString('base64url'),
    };
    writeDurably(secretsFile, `${JSON.stringify(secrets, null, 2)}\n`, 0o600);
    // Root started for the folder's owner, who must be able to start without root, too.
    if (layout.account.ids?.uid === statSync(folder).uid) give(secretsFile, layout.account);
    return secrets;
  });
}

function parseSecrets(secretsFile: string): Secrets {
  const content: unknown = JSON.parse(readFileSync(secretsFile, 'utf8'));
  if (typeof content === 'object' && content !== null && 'adminPassword' in content && 'roleSecret' in content) {
    return { adminPassword: String(content.adminPassword), roleSecret: String(content.roleSecret) };
  }
  throw new ProbityError('CONFIG_DATA_FOLDER', `${secretsFile} does not hold the two secrets of the database`);
}

/** Written beside, brought to the disk, then named: a crash leaves the old content or the new, never half. */
export function writeDurably(path: string, content: string, mode: number): void {
  const half = `${path}.${randomUUID()}`;
  const fd = openSync(half, 'wx', mode);
  try {
    writeFileSync(fd, content);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(half, path);
  syncFolder(dirname(path));
}

/** A new name is durable when its folder is. */
export function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'this user may not read or write there',
  EPERM: 'this user may not read or write there',
  EROFS: 'it lies on a read-only file system',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EFBIG: 'files there may not grow any more',
  ENOTDIR: 'a part of its path is a file',
  EEXIST: 'a file stands in its place',
  ENAMETOOLONG: 'its path is too long',
  ELOOP: 'its path is a circle of links',
};

/** Turns what the file system says into one sentence about the folder. */
export function explaining<Result>(folder: string, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    if (isProbityError(error)) throw error;
    const code = nodeErrorCode(error) ?? '';
    throw new ProbityError(
      'CONFIG_DATA_FOLDER',
      `${resolve(folder)} cannot be used: ${REASONS[code] ?? `the system says ${code}`}`,
    );
  }
}
