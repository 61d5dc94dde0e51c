import { accessSync, chmodSync, constants, existsSync, mkdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ProbityError } from '../rails/errors/probity-error.js';

/** What a process keeps on its own machine: the embedded database, objects in files, keys, and who else runs here. */
export interface DataFolder {
  readonly root: string;
  readonly postgres: string;
  readonly objects: string;
  /** 0700: credentials that a local start made for itself. */
  readonly keys: string;
  /** Addresses of the processes that share this folder. */
  readonly peers: string;
}

/**
 * Makes the folder where it is missing. Others may pass through it (0711), because the embedded database runs as another
 * user when we are root, but only its owner may list it, and nobody else may enter `keys`.
 * @throws ProbityError CONFIG_DATA_FOLDER
 */
export function openDataFolder(path: string): DataFolder {
  const root = resolve(path);
  const folder: DataFolder = {
    root,
    postgres: join(root, 'postgres'),
    objects: join(root, 'objects'),
    keys: join(root, 'keys'),
    peers: join(root, 'run', 'peers'),
  };
  try {
    if (!existsSync(root)) mkdirSync(root, { recursive: true, mode: 0o711 });
    if (!statSync(root).isDirectory()) throw new ProbityError('CONFIG_DATA_FOLDER', `${root} is not a folder`);
    accessSync(root, constants.R_OK | constants.W_OK | constants.X_OK);
    mkdirSync(folder.keys, { recursive: true, mode: 0o700 });
    // A folder from a copy or an archive may have come with wider rights than it was made with.
    chmodSync(folder.keys, 0o700);
    mkdirSync(folder.peers, { recursive: true, mode: 0o700 });
  } catch (cause) {
    if (cause instanceof ProbityError) throw cause;
    const reason = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new ProbityError('CONFIG_DATA_FOLDER', `${root} cannot be written (${reason})`, { cause });
  }
  return folder;
}
