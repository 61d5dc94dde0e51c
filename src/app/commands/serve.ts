import type { Writable } from 'node:stream';
import { boot } from '../boot.js';
import type { ServeFlags } from '../flags.js';
import { openDataFolder } from '../data-folder.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import { loadProfile } from '../profile.js';
import { refuseImpossible, selectUnits } from '../roles.js';
import type { Terminal } from '../terminal.js';
import { policyKindsOf, type UnitTable } from '../unit-table.js';
import { VERSION } from '../version.js';

/** Runs the roles until SIGINT or SIGTERM, then stops in order. A second signal does not wait any longer. */
export async function serve(
  units: UnitTable,
  flags: ServeFlags,
  terminal: Terminal,
  logs: Writable,
): Promise<ExitCode> {
  const startedMs = performance.now();
  const selected = selectUnits(units, flags.role);
  const profile = loadProfile(flags.profile, policyKindsOf(units));
  refuseImpossible(selected, profile);
  const folder = openDataFolder(flags.data);

  const stopSignal = nextStopSignal();
  const running = await boot({
    table: units,
    selected,
    profile,
    folder,
    logs,
    ...(flags.port === undefined ? {} : { port: flags.port }),
  });
  const tookS = (performance.now() - startedMs) / 1000;
  terminal.answer(
    {
      ready: true,
      version: VERSION,
      url: running.url,
      roles: running.roles,
      pid: process.pid,
      keys: running.keys,
      took_ms: Math.round(tookS * 1000),
    },
    [
      `Probity ${VERSION} is ready at ${running.url} after ${tookS.toFixed(1)} s (profile ${flags.profile}, roles ${running.roles.join(', ') || 'none built yet'}).`,
      ...running.keys.map(({ keyId, file }) => `  API key of ${keyId}: ${file}`),
      `  Try: curl ${running.url}/health/ready`,
      '  Ctrl-C stops it.',
    ],
  );

  const reason = await stopSignal;
  terminal.note(`Stopping (${reason}) …`);
  const ended = await running.stop();
  if (ended === 'cut short') {
    terminal.note(`The stop ran out of its ${profile.wiring.stop_timeout_ms} ms; what was acknowledged is safe.`);
    return EXIT.STOP_CUT_SHORT;
  }
  terminal.note('Stopped.');
  return EXIT.OK;
}

/** Listens from the first moment, so that a Ctrl-C during the start is not lost but stops what has been started. */
function nextStopSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        resolve(signal);
        // The second one, or any of the other kind, is for those who cannot wait: the default action ends the process.
        process.removeAllListeners(signal);
      });
    }
  });
}
