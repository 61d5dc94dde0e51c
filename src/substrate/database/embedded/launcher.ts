import { existsSync, statSync, truncateSync } from 'node:fs';
import { isProbityError } from '../../../rails/errors/probity-error.js';
import type { Clock } from '../../clock/clock.port.js';
import type { PgAddress, PgCredentials } from '../pg.connection.js';
import { findBinaries } from './binaries.js';
import { ADMIN_USER, DATABASE_NAME, ensureCluster } from './cluster.js';
import { prepareLayout, readOrMakeSecrets, type Layout, type Secrets } from './layout.js';
import { livePostmaster, startPostmaster, untilReady, type Postmaster } from './postmaster.js';
import { isAlive } from './process.js';
import { underStartLock } from './start.lock.js';
import { joinWatchdog, recordedWatchdog, type Membership } from './watchdog.js';

export interface LauncherOptions {
  /** The launcher's own folder inside the data folder. */
  readonly folder: string;
  readonly clock: Clock;
  /** A fixed port; any free one when left out. */
  readonly port?: number;
  /** False for throw-away servers of tests: nothing is forced to the disk, so a power cut may destroy it. */
  readonly durable?: boolean;
  /** Called when the server or its watchdog was found dead and has been seen to, or could not be. */
  readonly onRepair?: (fault: unknown) => void;
}

export interface LaunchedServer {
  readonly address: PgAddress;
  readonly admin: PgCredentials;
  readonly roleSecret: string;
  /** `started` by this process, or `joined`. */
  readonly how: 'started' | 'joined';
  readonly postmasterPid: number;
}

/** How often a member says that it is there and looks whether server and watchdog are. */
const BEAT_MS = 1_000;
const LOG_BYTES_MAX = 4 * 1024 * 1024;
/** How long a leaving member looks whether it was the last one. */
const LAST_LOOK_MS = 250;

/**
 * One process's share in an embedded server: the first starts it, others join it, the last one out ends it, and whoever
 * finds it dead meanwhile starts it again on the same port.
 *
 *     out --join--> member --leave--> out (the watchdog ends the server after the last)
 *                    |  ^
 *       server or watchdog dead: looked after under the start lock, like a join
 */
export class Launcher {
  readonly #options: LauncherOptions;
  readonly #layout: Layout;
  #membership: Membership | undefined;
  #postmaster: Postmaster | undefined;
  #timer: NodeJS.Timeout | undefined;
  #repairing: Promise<void> | undefined;

  constructor(options: LauncherOptions) {
    this.#options = options;
    this.#layout = prepareLayout(options.folder);
  }

  async join(): Promise<LaunchedServer> {
    const { secrets, postmaster, how } = await this.#lookAfter(this.#options.port);
    this.#postmaster = postmaster;
    this.#timer = setInterval(() => this.#beat(), BEAT_MS);
    // A beat alone is no reason to keep a process running.
    this.#timer.unref();
    return {
      address: { host: '127.0.0.1', port: postmaster.port, database: DATABASE_NAME, tls: false },
      admin: { user: ADMIN_USER, password: secrets.adminPassword },
      roleSecret: secrets.roleSecret,
      how,
      postmasterPid: postmaster.identity.pid,
    };
  }

  /** Gives the share back. Whoever was the last waits, within the limit, until server and watchdog have ended. */
  async leave(limitMs: number): Promise<void> {
    clearInterval(this.#timer);
    await this.#repairing;
    this.#membership?.leave();
    this.#membership = undefined;
    const { clock } = this.#options;
    const startedMs = clock.monotonicMs();
    const last = await this.#until(
      () => !existsSync(this.#layout.members),
      startedMs + Math.min(LAST_LOOK_MS, limitMs),
    );
    if (!last) return;
    const watchdog = recordedWatchdog(this.#layout);
    // The watchdog ends after the server, so its end is the end of both.
    await this.#until(() => watchdog === undefined || !isAlive(watchdog), startedMs + limitMs);
  }

  async #until(condition: () => boolean, deadlineMs: number): Promise<boolean> {
    const { clock } = this.#options;
    while (!condition()) {
      if (clock.monotonicMs() > deadlineMs) return false;
      await clock.sleep(10);
    }
    return true;
  }

  /** Under the start lock: watchdog first, so that no server ever runs unwatched, then the server. */
  async #lookAfter(
    port: number | undefined,
  ): Promise<{ readonly secrets: Secrets; readonly postmaster: Postmaster; readonly how: 'started' | 'joined' }> {
    const layout = this.#layout;
    const { clock, durable = true } = this.#options;
    return await underStartLock(layout.lockFile, clock, async () => {
      const secrets = readOrMakeSecrets(layout);
      const binaries = findBinaries(layout.account, layout.copiesFolder);
      await ensureCluster(layout, binaries, { adminPassword: secrets.adminPassword, durable });
      const membership = this.#membership?.beat() === true ? this.#membership : await joinWatchdog(layout, clock);
      try {
        const live = livePostmaster(layout);
        if (live !== undefined) await untilReady(layout, clock, live);
        const postmaster =
          live ??
          (await startPostmaster(layout, binaries, clock, { durable, ...(port === undefined ? {} : { port }) }));
        if (this.#membership !== membership) this.#membership?.leave();
        this.#membership = membership;
        return { secrets, postmaster, how: live === undefined ? 'started' : 'joined' };
      } catch (error) {
        if (this.#membership !== membership) membership.leave();
        throw error;
      }
    });
  }

  #beat(): void {
    if (this.#repairing !== undefined) return;
    boundLog(this.#layout.logFile);
    const watched = this.#membership?.beat() ?? false;
    const alive = this.#postmaster !== undefined && isAlive(this.#postmaster.identity);
    if (watched && alive) return;
    this.#repairing = this.#repair().finally(() => {
      this.#repairing = undefined;
    });
  }

  async #repair(): Promise<void> {
    try {
      // The others' pools know the old port, so no other will do.
      this.#postmaster = (await this.#lookAfter(this.#postmaster?.port)).postmaster;
      this.#options.onRepair?.(undefined);
    } catch (fault) {
      // The next beat tries again.
      this.#options.onRepair?.(isProbityError(fault) ? fault : new Error('the embedded database could not be seen to'));
    }
  }
}

/** The server appends, so emptying the file under it is safe; what it says is small, and this bounds it for ever. */
function boundLog(logFile: string): void {
  const size = statSync(logFile, { throwIfNoEntry: false })?.size ?? 0;
  if (size > LOG_BYTES_MAX) truncateSync(logFile);
}
