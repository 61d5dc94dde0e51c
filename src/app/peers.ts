import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A process that shares the data folder: which roles it runs, and where it answers. */
export interface Peer {
  readonly pid: number;
  readonly roles: readonly string[];
  readonly url: string;
}

/**
 * How processes on one data folder find each other: each leaves a small file with its address. A file whose process is
 * gone is passed over and removed by whoever meets it, so a SIGKILL leaves no wrong address behind for long.
 */
export class Peers {
  readonly #folder: string;
  #own: string | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  announce(peer: Peer): void {
    const path = join(this.#folder, `${peer.pid}.json`);
    const incoming = `${path}.new`;
    writeFileSync(incoming, JSON.stringify(peer), { mode: 0o600 });
    // A reader sees the whole file or none.
    renameSync(incoming, path);
    this.#own = path;
  }

  withdraw(): void {
    if (this.#own !== undefined) rmSync(this.#own, { force: true });
    this.#own = undefined;
  }

  /** The address of a living process that runs the role; the youngest announcement wins. */
  addressOf(role: string): string | undefined {
    return this.living().find((peer) => peer.roles.includes(role))?.url;
  }

  living(): readonly Peer[] {
    const peers: Peer[] = [];
    for (const name of readdirSync(this.#folder).sort().reverse()) {
      if (!name.endsWith('.json')) continue;
      const path = join(this.#folder, name);
      const peer = readPeer(path);
      if (peer === undefined || !isAlive(peer.pid)) rmSync(path, { force: true });
      else peers.push(peer);
    }
    return peers;
  }
}

function readPeer(path: string): Peer | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Peer;
  } catch {
    // Removed between listing and reading, or not ours.
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives, as another user.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
