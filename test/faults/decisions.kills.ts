import { expect } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import type { DecisionsPage } from '../../src/modules/decision-fabric/decision-fabric.controller.js';
import type { Posture } from '../../src/rails/events/posture.schema.js';
import { DECISION_ROLES, Door, importedRun } from '../support/door.js';
import { eventually } from '../support/eventually.js';
import { handbookFile } from '../support/handbook-file.js';
import { seeded } from '../support/kafka-log.js';
import { killed, pause, type Victim } from './door.kills.js';

export interface DecisionKillPlan {
  readonly flavour: 'embedded' | 'real';
  readonly seed: number;
  readonly rows: number;
  readonly kills: number;
}

/**
 * Streams a file while the processes that decide, and the servers under them, are killed at moments from a seed and started again. At the end there is
 * one decision per transaction and one intent per action domain, and every decision comes out the same when it is made again from the bus:
 * what was known when it was made was a basis of the log, whatever had died before.
 */
export async function decideUnderKills(plan: DecisionKillPlan): Promise<void> {
  const random = seeded(plan.seed);
  const door = await Door.open(plan.flavour, DECISION_ROLES);
  const victims: readonly Victim[] = ['df', 'ofp', 'al', 'df', 'ig', 'dl', 'al', 'database'];
  try {
    const scenario = `decided-${randomBytes(4).toString('hex')}`;
    const { run_id } = await importedRun(door, handbookFile(plan.rows, plan.seed), scenario);
    expect(await door.settled(run_id, 120_000)).toMatchObject({ state: 'READY' });
    await eventually(
      async () =>
        ((await (await door.client('dl')).get('/v1/posture')).body as { posture: Posture | null }).posture?.mode,
      (mode) => mode === 'NORMAL',
      30_000,
    );
    await door.stream(run_id);
    for (let kill = 0; kill < plan.kills; kill += 1) {
      await pause(random() * 900);
      await killed(door, victims[Math.floor(random() * victims.length)] ?? 'df');
    }
    const stream = await door.streamed(run_id, 240_000);
    expect(stream).toMatchObject({ state: 'COMPLETED', sent: plan.rows, quarantined: 0 });
    const outcomes = await door.decided(run_id, plan.rows, 240_000);
    const intents = plan.rows + (outcomes['QUEUE'] ?? 0);
    const { by_type, ...found } = await door.carriedOut(run_id, intents, 240_000);
    expect(found).toMatchObject({ admitted: plan.rows, on_bus: plan.rows, reconciled: true });
    expect(by_type).toEqual({
      transaction: { admitted: plan.rows, on_bus: plan.rows },
      decision: { admitted: plan.rows, on_bus: plan.rows },
      action_intent: { admitted: intents, on_bus: intents },
      action_outcome: { admitted: intents, on_bus: intents },
    });
    expect(Object.values(outcomes).reduce((a, b) => a + b, 0)).toBe(plan.rows);
    const verification = await door.verified({ run_id }, 240_000);
    expect(verification).toMatchObject({ state: 'DONE', compared: plan.rows, equal: plan.rows, not_made_again: 0 });
    // No conflict was left behind by a decision that was made twice.
    const quarantined = (await (await door.client('ig')).get(`/v1/quarantine?run_id=${run_id}`)).body;
    expect(quarantined).toMatchObject({ entries: [] });
    const page = (await (await door.client('df')).get(`/v1/decisions?run=${run_id}&limit=1`)).body as DecisionsPage;
    expect(page.decisions).toHaveLength(1);
  } finally {
    await door.close();
  }
}
