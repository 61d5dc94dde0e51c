import { DECISION_POLICY } from '../../modules/decision-fabric/decision-fabric.policy.js';
import type { DecisionPolicy } from '../../rails/decision/policy.schema.js';
import { leavesOf } from '../client/audited.js';
import { type Following, reconcile } from '../client/journey.js';
import { labelsOf } from '../client/labelled.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import type { Counts, LabelsTold } from '../../rails/reconciliation.js';
import { reconciledReport } from '../client/report.js';
import { throughDoor } from '../client/through-door.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import type { DoorFlags } from '../flags.js';
import { policyOf } from '../profile.js';
import type { Terminal } from '../terminal.js';
import type { UnitTable } from '../unit-table.js';
import { runIdFrom } from './run.js';

/** How far a run is followed: to its records, to the outcomes of its actions, to the leaves of the audit log, or to what became known of it as well. */
export const EXTENTS = ['bus', 'outcome', 'leaf', 'label'] as const;

export interface ReconcileFlags extends DoorFlags {
  readonly run: string;
  readonly to: (typeof EXTENTS)[number];
}

/** Was every row of the run counted from the source to the bus, and from there to its outcome and its leaf? */
export async function reconcileRun(units: UnitTable, flags: ReconcileFlags, terminal: Terminal): Promise<ExitCode> {
  const door = { table: units, flags, terminal, name: 'reconcile' } as const;
  return await throughDoor({ ...door, roles: ['sr', 'wsp', 'ig'] }, async (travel) => {
    const run = await travel.api.run(runIdFrom(flags.run));
    const leaves: Following['leaves'] = async (records) => {
      let found: Counts = {};
      // Only now: up to here no audit log was needed.
      await throughDoor({ ...door, roles: ['dla'] }, async (audit) => {
        found = await leavesOf(audit, run.run_id, records);
        return EXIT.OK;
      });
      return found;
    };
    const labels = async (): Promise<LabelsTold> => {
      let told: LabelsTold | undefined;
      await throughDoor({ ...door, roles: ['ig', 'labels'] }, async (store) => {
        told = await labelsOf(store, run.run_id);
        return EXIT.OK;
      });
      if (told === undefined) throw new ProbityError('RPC_UNAVAILABLE', 'the label store was not asked to the end');
      return told;
    };
    const following: Following | undefined =
      flags.to === 'bus'
        ? undefined
        : {
            triggerTypes: triggerTypesOf(flags.profile),
            ...(flags.to === 'outcome' ? {} : { leaves }),
            ...(flags.to === 'label' ? { labels } : {}),
          };
    const found = await reconcile(travel, run.run_id, following);
    const { document, lines, ok } = reconciledReport(run, found);
    travel.progress.clear();
    terminal.answer(document, lines);
    return ok ? EXIT.OK : EXIT.FAILED;
  });
}

/** Which events are to be decided, by the policy of the profile: a run of which every decision was lost must not look like one that nobody decides. */
export function triggerTypesOf(profile: string): readonly string[] {
  return (policyOf(profile, DECISION_POLICY).body as unknown as DecisionPolicy).trigger_event_types;
}
