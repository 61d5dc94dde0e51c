import { reconcile } from '../client/journey.js';
import { reconciledReport } from '../client/report.js';
import { throughDoor } from '../client/through-door.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import type { DoorFlags } from '../flags.js';
import type { Terminal } from '../terminal.js';
import type { UnitTable } from '../unit-table.js';
import { runIdFrom } from './run.js';

/** Was every row of the run counted from the source to the bus? */
export async function reconcileRun(
  units: UnitTable,
  flags: DoorFlags & { readonly run: string },
  terminal: Terminal,
): Promise<ExitCode> {
  const roles = ['sr', 'wsp', 'ig'] as const;
  return await throughDoor({ table: units, flags, terminal, name: 'reconcile', roles }, async (travel) => {
    const run = await travel.api.run(runIdFrom(flags.run));
    const { document, lines, ok } = reconciledReport(run, await reconcile(travel, run.run_id));
    travel.progress.clear();
    terminal.answer(document, lines);
    return ok ? EXIT.OK : EXIT.FAILED;
  });
}
