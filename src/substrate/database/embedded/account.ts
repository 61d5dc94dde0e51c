import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { ProbityError } from '../../../rails/errors/probity-error.js';

/** The OS user that runs the server. `ids` is absent when it is the user of this process. */
export interface Account {
  readonly ids?: { readonly uid: number; readonly gid: number };
}

/**
 * Postgres refuses to run as root, for a hole in it would be a hole in the machine. So root hands the cluster to somebody
 * else: the owner of the data folder where that is not root, else `postgres` where the system has it, else `nobody`.
 */
export function chooseAccount(folder: string): Account {
  if (process.getuid?.() !== 0) return {};
  const { uid, gid } = statSync(folder);
  if (uid !== 0) return { ids: { uid, gid } };
  const ids = idsOf('postgres') ?? idsOf('nobody');
  if (ids === undefined) {
    const detail =
      'Postgres does not run as root, and the system has neither a user postgres nor nobody: start as another user';
    throw new ProbityError('DATABASE_START_FAILED', detail);
  }
  return { ids };
}

function idsOf(user: string): Account['ids'] {
  const [uid, gid] = ['-u', '-g'].map((flag) => spawnSync('id', [flag, user], { encoding: 'utf8' }));
  if (uid?.status !== 0 || gid?.status !== 0) return undefined;
  return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
}

/** Whether the account can enter a folder, or run a program: asked of the system itself, which knows ACLs and mounts. */
export function canReach(account: Account, path: string): boolean {
  const script = '[ -x "$1" ] && { [ ! -d "$1" ] || cd "$1"; }';
  return spawnSync('/bin/sh', ['-c', script, 'sh', path], { cwd: '/', stdio: 'ignore', ...account.ids }).status === 0;
}
