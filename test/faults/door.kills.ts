import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect } from '@jest/globals';
import { type DECISION_ROLES, Door, importedRun } from '../support/door.js';
import { eventually } from '../support/eventually.js';
import { demanded } from '../support/kafka.js';
import { handbookFile } from '../support/handbook-file.js';
import { seeded } from '../support/kafka-log.js';

const run = promisify(execFile);

export interface KillPlan {
  readonly flavour: 'embedded' | 'real';
  readonly seed: number;
  readonly rows: number;
  readonly kills: number;
  readonly scenario: string;
}

export type Victim = (typeof DECISION_ROLES)[number] | 'database' | 'broker';

/**
 * Streams a file while processes and servers are killed at moments from a seed, and started again; streams it once more
 * whenever it is through before the kills are. At the end each identity stands once on the topic, and all counts agree.
 */
export async function streamUnderKills(plan: KillPlan): Promise<void> {
  const random = seeded(plan.seed);
  const door = await Door.open(plan.flavour);
  const victims: readonly Victim[] =
    plan.flavour === 'embedded' ? ['ig', 'wsp', 'sr', 'database'] : ['ig', 'wsp', 'sr', 'broker', 'database'];
  try {
    const { run_id } = await importedRun(door, handbookFile(plan.rows, plan.seed), plan.scenario);
    let pass = 0;
    for (let kill = 0; kill < plan.kills; kill += 1) {
      // The first kills meet the run on its way to READY, the later ones the stream.
      if (kill === Math.floor(plan.kills / 5)) {
        expect(await door.settled(run_id, 120_000)).toMatchObject({ state: 'READY' });
      }
      if (kill >= Math.floor(plan.kills / 5)) {
        const status = await door.streamStatus(run_id);
        if (status === undefined || status.state === 'COMPLETED') {
          pass = (await door.stream(run_id, status === undefined ? {} : { again: true })).pass;
        }
      }
      await pause(random() * 700);
      const victim = victims[Math.floor(random() * victims.length)] ?? 'ig';
      await killed(door, victim);
    }
    if (pass === 0) pass = (await door.stream(run_id)).pass;
    const stream = await door.streamed(run_id, 240_000, pass);
    expect(stream).toMatchObject({ state: 'COMPLETED', sent: plan.rows, quarantined: 0 });
    expect(stream.admitted + stream.duplicate).toBe(plan.rows);
    // Both are counted up to what readers may see: a gate that was killed within an append to Kafka holds that back for a while.
    const reconciliation = await eventually(
      async () => await door.reconciled(run_id, 120_000),
      ({ on_bus }) => on_bus >= plan.rows,
      90_000,
    );
    expect(reconciliation).toMatchObject({
      admitted: plan.rows,
      on_bus: plan.rows,
      quarantined: 0,
      missing_on_bus: [],
      not_in_ledger: [],
      more_than_once_on_bus: [],
      other_content: [],
      reconciled: true,
    });
  } finally {
    await door.close();
  }
}

export async function killed(door: Door, victim: Victim): Promise<void> {
  if (victim === 'broker') {
    await server('PROBITY_TEST_KAFKA_CONTROL');
    return;
  }
  if (victim === 'database') {
    // Whoever runs on the embedded one starts it again; the external one has an operator.
    if (door.embedded) process.kill(await door.databasePid(), 'SIGKILL');
    else await server('PROBITY_TEST_POSTGRES_CONTROL');
    return;
  }
  await door.kill(victim);
  await door.start(victim);
}

async function server(variable: string): Promise<void> {
  const control = demanded(variable, 'a command that takes `kill` and `start` for the server');
  for (const command of ['kill', 'start']) await run('sh', ['-c', `${control} ${command}`]);
}

/** When the next kill comes; the moments are the fault, nothing is hoped for by them. */
export function pause(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs));
}
