import { AuditApi } from '../client/audit-api.js';
import type { Reconciliation } from '../client/door-api.js';
import { polled, reconcile, type Travel } from '../client/journey.js';
import type { DecisionPath } from '../client/reconcile.core.js';
import { reconciledReport } from '../client/report.js';
import { throughDoor } from '../client/through-door.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import type { DoorFlags } from '../flags.js';
import type { Terminal } from '../terminal.js';
import type { UnitTable } from '../unit-table.js';
import { runIdFrom } from './run.js';

/** So long the audit log may be behind the bus before it is said to lack something. */
const LOG_BEHIND_MS = 20_000;

/** Was every row of the run counted from the source to the bus, and from there to its outcome and its leaf? */
export async function reconcileRun(
  units: UnitTable,
  flags: DoorFlags & { readonly run: string },
  terminal: Terminal,
): Promise<ExitCode> {
  const door = { table: units, flags, terminal, name: 'reconcile' } as const;
  return await throughDoor({ ...door, roles: ['sr', 'wsp', 'ig'] }, async (travel) => {
    const run = await travel.api.run(runIdFrom(flags.run));
    const found = await reconcile(travel, run.run_id, async (gate) => {
      const path = pathOf(gate);
      const audited = units.units.some(({ role }) => role === 'dla');
      if (path === undefined || !audited) return path;
      const records = Object.values(gate.by_type).reduce((sum, { on_bus }) => sum + on_bus, 0);
      let leaves = 0;
      // Only now: a run of which nothing was decided needs no audit log to be reconciled.
      await throughDoor({ ...door, roles: ['dla'] }, async (audit) => {
        leaves = await leavesOf(audit, run.run_id, records);
        return EXIT.OK;
      });
      return { ...path, logged: { records, leaves } };
    });
    const { document, lines, ok } = reconciledReport(run, found);
    travel.progress.clear();
    terminal.answer(document, lines);
    return ok ? EXIT.OK : EXIT.FAILED;
  });
}

function pathOf({ custody }: Reconciliation): DecisionPath | undefined {
  if (custody === undefined || custody.decisions === 0) return undefined;
  const { decisions, actions_planned: planned, intents, outcomes, ...offending } = custody;
  const decided = decisions + custody.undecided.count - custody.decided_without_event.count;
  return { decided, decisions, planned, intents, outcomes, offending };
}

/** Until all are logged, or the log has had its time. */
async function leavesOf(travel: Travel, runId: string, records: number): Promise<number> {
  const api = new AuditApi(travel.api);
  const endMs = travel.clock.monotonicMs() + LOG_BEHIND_MS;
  return await polled(
    travel,
    async () => {
      const leaves = Object.values(await api.run(runId)).reduce((sum, count) => sum + count, 0);
      travel.progress.at('Counting leaves of the audit log', leaves, records);
      return leaves;
    },
    (leaves) => leaves >= records || travel.clock.monotonicMs() > endMs,
  );
}
