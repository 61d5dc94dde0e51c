import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ProbityError } from '../../rails/errors/probity-error.js';
import type { Clock } from '../../substrate/clock/clock.port.js';
import { boot, type Running } from '../boot.js';
import { type DataFolder, openDataFolder } from '../data-folder.js';
import type { DoorFlags } from '../flags.js';
import { openLocalKeys, readKey } from '../local-keys.js';
import { openLogFile } from '../log-file.js';
import { Peers } from '../peers.js';
import { loadProfile, type Profile } from '../profile.js';
import { refuseImpossible, selectUnits } from '../roles.js';
import { policyKindsOf, type UnitTable } from '../unit-table.js';
import type { Address } from './api-client.js';
import type { Door, DoorRole } from './door-api.js';

export interface OpenDoor {
  readonly addressOf: Door;
  /** Whether somebody runs the role, be it for this command or not; at an address that was named everybody is taken to. */
  serves(role: DoorRole): boolean;
  close(): Promise<'in order' | 'cut short'>;
}

export interface DoorWish {
  readonly table: UnitTable;
  readonly flags: DoorFlags;
  /** Roles that the command will call. */
  readonly roles: readonly DoorRole[];
  /** Names the log of roles that are run here. */
  readonly command: string;
  readonly clock: Clock;
}

/** The key id that a local start makes for the person at the keyboard. */
export const OPERATOR = 'operator';

/**
 * Finds the processes that serve the roles: at `--url`, else where the wiring or the data folder say that they run. A role that
 * nobody runs is run here for as long as the command takes, so a command works on an empty machine as beside a cluster; also a
 * role whose process ends meanwhile, for that may have been another command.
 */
export async function openDoor(wish: DoorWish): Promise<OpenDoor> {
  const { flags } = wish;
  if (flags.url !== undefined) return doorAt(flags.url, flags);
  const profile = loadProfile(flags.profile, policyKindsOf(wish.table));
  const folder = openDataFolder(flags.data);
  const door = new FolderDoor(wish, profile, folder, keyOf(flags, profile, folder));
  try {
    await door.runMissing();
  } catch (error) {
    await door.close();
    throw error;
  }
  return { addressOf: (role) => door.addressOf(role), serves: (role) => door.serves(role), close: () => door.close() };
}

class FolderDoor {
  readonly #found: (role: string) => string | undefined;
  readonly #own: RunningHere[] = [];
  #starting: Promise<void> | undefined;

  constructor(
    private readonly wish: DoorWish,
    private readonly profile: Profile,
    private readonly folder: DataFolder,
    private readonly key: string,
  ) {
    this.#found = finder(profile, folder);
  }

  /**
   * Sees to all roles of the command at each call, not to the one that is asked for alone: while a stream is waited for, only its
   * producer is asked, and it would wait for ever for a gate that has died.
   */
  async addressOf(role: DoorRole): Promise<Address> {
    if (this.#missing().length > 0) {
      this.#starting ??= this.runMissing().finally(() => (this.#starting = undefined));
      await this.#starting;
    }
    const url = this.#urlOf(role);
    if (url === undefined) throw new ProbityError('RPC_UNAVAILABLE', `nobody runs ${role}`, { data: { role } });
    return { url, key: this.key };
  }

  serves(role: DoorRole): boolean {
    return this.#urlOf(role) !== undefined;
  }

  async runMissing(): Promise<void> {
    const missing = this.#missing();
    if (missing.length > 0) this.#own.push(await runHere(this.wish, missing, this.profile, this.folder));
  }

  #missing(): readonly DoorRole[] {
    return this.wish.roles.filter((role) => this.#urlOf(role) === undefined);
  }

  #urlOf(role: string): string | undefined {
    return this.#own.find(({ roles }) => roles.includes(role))?.url ?? this.#found(role);
  }

  async close(): Promise<'in order' | 'cut short'> {
    await this.#starting?.catch(() => undefined);
    let ended: 'in order' | 'cut short' = 'in order';
    for (const running of this.#own.splice(0).reverse())
      if ((await running.close()) === 'cut short') ended = 'cut short';
    return ended;
  }
}

function doorAt(url: string, flags: DoorFlags): OpenDoor {
  if (!/^https?:\/\/[^/]+\/?$/.test(url)) {
    throw new ProbityError('CONFIG_INVALID', `--url ${url}: this is not the address of a process, http://host:port`);
  }
  const file = flags.keyFile ?? join(flags.data, 'keys', `${OPERATOR}.key`);
  const address: Address = { url, key: readKeyFile(file) };
  return { addressOf: () => Promise.resolve(address), serves: () => true, close: () => Promise.resolve('in order') };
}

function finder(profile: Profile, folder: DataFolder): (role: string) => string | undefined {
  const peers = new Peers(folder.peers);
  const { endpoints } = profile.wiring.rpc;
  return (role) => {
    const named = endpoints[role];
    return named === undefined ? peers.addressOf(role) : profile.settings.text(named);
  };
}

interface RunningHere {
  readonly url: string;
  readonly roles: readonly string[];
  close(): Promise<'in order' | 'cut short'>;
}

async function runHere(
  { table, command, clock }: DoorWish,
  roles: readonly DoorRole[],
  profile: Profile,
  folder: DataFolder,
): Promise<RunningHere> {
  const selected = selectUnits(table, roles.join(','));
  refuseImpossible(selected, profile);
  const log = openLogFile(folder, command);
  let running: Running;
  try {
    running = await boot({ table, selected, profile, folder, port: 0, logs: log.stream, clock });
  } catch (error) {
    await log.close();
    throw error;
  }
  return {
    url: running.url,
    roles: running.roles,
    close: async () => {
      const ended = await running.stop();
      await log.close();
      return ended;
    },
  };
}

/** The file that was named, or the key that the first local start made for the operator. */
function keyOf(flags: DoorFlags, profile: Profile, folder: DataFolder): string {
  if (flags.keyFile !== undefined) return readKeyFile(flags.keyFile);
  const access = profile.policies.get('access');
  if (access === undefined)
    throw new ProbityError('CONFIG_INVALID', `${profile.folder}/policy: no policy "access" here`);
  const own = openLocalKeys(access.body as unknown as Parameters<typeof openLocalKeys>[0], folder.keys).keys;
  const file = own.find(({ keyId }) => keyId === OPERATOR)?.file;
  if (file !== undefined) return readKey(file);
  throw new ProbityError(
    'CONFIG_SECRET_MISSING',
    `profile ${profile.name} makes no key for an operator: name the file that holds yours with --key-file`,
  );
}

function readKeyFile(file: string): string {
  if (existsSync(file)) return readKey(file);
  throw new ProbityError('CONFIG_SECRET_MISSING', `${file}: no such file; name the file with your key by --key-file`);
}
