import { SystemClock } from '../../substrate/clock/system.clock.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import type { DoorFlags } from '../flags.js';
import type { Terminal } from '../terminal.js';
import type { UnitTable } from '../unit-table.js';
import { ApiClient } from './api-client.js';
import { DoorApi, type DoorRole } from './door-api.js';
import { listenForInterrupt } from './interrupt.js';
import type { Travel } from './journey.js';
import { openDoor } from './open-door.js';
import { openProgress } from './progress.js';

export interface DoorCommand {
  readonly table: UnitTable;
  readonly flags: DoorFlags;
  readonly terminal: Terminal;
  /** Its name, for the log of roles that run here. */
  readonly name: string;
  readonly roles: readonly DoorRole[];
}

/**
 * Runs a command against the public routes, wherever the roles run, and leaves nothing behind: roles that were started for it are
 * stopped in order, after a Ctrl-C as well.
 */
export async function throughDoor(
  command: DoorCommand,
  work: (travel: Travel) => Promise<ExitCode>,
): Promise<ExitCode> {
  const { terminal } = command;
  const clock = new SystemClock();
  const interrupt = listenForInterrupt();
  const progress = openProgress(terminal.screen, clock);
  try {
    const door = await openDoor({ ...command, command: command.name, clock });
    const client = new ApiClient({
      clock,
      signal: interrupt.signal,
      onWait: (error, waitMs) => progress.say(`${error.detail}; trying again in ${(waitMs / 1_000).toFixed(1)} s`),
    });

    try {
      return await work({
        api: new DoorApi(client, door.addressOf),
        clock,
        signal: interrupt.signal,
        progress,
        serves: (role) => door.serves(role),
      });
    } catch (error) {
      if (!interrupt.signal.aborted) throw error;
      progress.say('Stopped. What was accepted is safe: the same command again goes on where this one ended.');
      return EXIT.FAILED;
    } finally {
      progress.clear();
      client.close();
      const ended = await door.close();
      if (ended === 'cut short') progress.say('The stop ran out of its time; what was acknowledged is safe.');
    }
  } finally {
    interrupt.dispose();
  }
}
