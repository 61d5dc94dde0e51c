import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { mkdir, open, readdir, rm, rmdir, stat, type FileHandle } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { type Clock } from '../clock/clock.port.js';
import { systemCode } from './files.errors.js';
import { FOLDER_MODE } from './files.folders.js';

/**
 * Where files are written before they get their names: `incoming/<realm>/<pid>.<birth>.<nonce>/<count>`.
 *
 * What a killed writer left is swept at the next start, and a live writer's file never is. A pid alone would not tell
 * them apart, because pids are given out again: the process's time of birth goes with it. And both mean something in one
 * boot of one machine and one pid namespace only, which is the realm: a container that shares the volume looks dead from
 * here. Of a foreign realm only what nobody has touched for a day goes. Should its writer live after all, its link()
 * fails and it puts again: nothing is lost.
 */
export class Incoming {
  #count = 0;

  private constructor(
    readonly folder: string,
    readonly sweptFolders: number,
  ) {}

  static async open(root: string, clock: Clock): Promise<Incoming> {
    const realm = realmName();
    await mkdir(join(root, realm), { recursive: true, mode: FOLDER_MODE });
    const swept = await sweep(root, realm, clock.nowMs() - FOREIGN_QUIET_MS);
    const nonce = randomBytes(6).toString('hex');
    const own = join(root, realm, `${process.pid}.${birthOf(process.pid) ?? 0}.${nonce}`);
    // With its parents: another realm's sweeper may just have removed ours, which is empty before its first writer.
    await mkdir(own, { recursive: true, mode: FOLDER_MODE });
    return new Incoming(own, swept);
  }

  /** A new file of our own, open for writing; nobody else knows its name. */
  async create(): Promise<{ readonly path: string; readonly handle: FileHandle }> {
    this.#count += 1;
    const path = join(this.folder, String(this.#count));
    // The mode binds later openers, not this one: no stored file is opened for writing again by accident.
    const create = (): Promise<FileHandle> => open(path, 'wx', 0o440);
    try {
      return { path, handle: await create() };
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error;
      // A sweeper of a foreign realm took the folder of this process, which had been quiet for a day.
      await mkdir(this.folder, { recursive: true, mode: FOLDER_MODE });
      return { path, handle: await create() };
    }
  }

  async close(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

const FOREIGN_QUIET_MS = 24 * 60 * 60 * 1_000;

async function sweep(root: string, realm: string, quietSinceMs: number): Promise<number> {
  const realms = await readdir(root);
  const swept = await Promise.all(
    realms.map(async (name) => {
      const folder = join(root, name);
      const writers = await readdir(folder);
      const dead =
        name === realm
          ? writers.map((writer) => !isAlive(writer))
          : await Promise.all(writers.map((writer) => isQuiet(join(folder, writer), quietSinceMs)));
      const left = writers.filter((_, index) => dead[index]);
      await Promise.all(left.map((writer) => rm(join(folder, writer), { recursive: true, force: true })));
      // A realm of an earlier boot goes with its last writer; it is not empty as long as another one is there.
      if (name !== realm) await rmdir(folder).catch(() => undefined);
      return left.length;
    }),
  );
  return swept.reduce((sum, count) => sum + count, 0);
}

/** True when neither the writer's folder nor any file in it changed since then. */
async function isQuiet(folder: string, sinceMs: number): Promise<boolean> {
  try {
    const names = await readdir(folder);
    const times = await Promise.all(
      [folder, ...names.map((name) => join(folder, name))].map(async (path) => (await stat(path)).mtimeMs),
    );
    return times.every((timeMs) => timeMs < sinceMs);
  } catch {
    // It changed under our eyes, so somebody is there.
    return false;
  }
}

function isAlive(writer: string): boolean {
  const [pid, birth] = writer.split('.').map(Number);
  // Not a name that this program gives: whose it is, is unknown, so it stays.
  if (pid === undefined || birth === undefined || !Number.isSafeInteger(pid) || pid < 1) return true;
  const born = birthOf(pid);
  if (born !== null) return born === birth;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCode(error) !== 'ESRCH';
  }
}

/** When the process was born, in clock ticks since the boot; 0 where the system does not say, null when it is gone. */
function birthOf(pid: number): number | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The second field is the program's name and may hold blanks and brackets, so count from its last bracket.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    // A zombie waits to be reaped by its parent and writes nothing any more.
    return fields[0] === 'Z' || fields[0] === 'X' ? -1 : Number(fields[19] ?? 0);
  } catch {
    return null;
  }
}

function realmName(): string {
  const parts = [hostname(), tryRead(() => readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim())];
  parts.push(tryRead(() => readlinkSync('/proc/self/ns/pid')));
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16);
}

function tryRead(read: () => string): string {
  try {
    return read();
  } catch {
    // Not Linux: the host's name is the realm, as far as it can be told.
    return '';
  }
}
