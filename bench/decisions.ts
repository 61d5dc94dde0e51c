import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Posture } from '../src/rails/events/posture.schema.js';
import type { RunRequest } from '../src/modules/scenario-runner/scenario-runner.port.js';
import { Door, importedRun } from '../test/support/door.js';
import { eventually } from '../test/support/eventually.js';
import { handbookFile } from '../test/support/handbook-file.js';
import { plainTransaction } from './door.kit.js';
import type { Bench, SingleResult } from './harness.js';
import { openLoop } from './open-loop.js';

const ROWS = 40_000;
const SECONDS = 20;

/** The whole path, all roles in one process: a file decided and carried out, decided again, and verdicts at once at a fixed rate. */
export const bench: Bench = async (note) => {
  const door = await Door.open('embedded', ['all']);
  try {
    note(
      'All roles in one process, embedded database with fsync on; the load comes from another process of the machine.',
    );
    const dl = await door.client('dl');
    await eventually(
      async () => ((await dl.get('/v1/posture')).body as { posture: Posture | null }).posture?.mode,
      (mode) => mode === 'NORMAL',
      60_000,
    );
    await throughput(door, note);
    return await verdicts(door);
  } finally {
    await door.close();
  }
};

async function throughput(door: Door, note: (text: string) => void): Promise<void> {
  const { run_id } = await importedRun(door, handbookFile(ROWS, 5), 'bench');
  await door.settled(run_id, 120_000);
  const startMs = performance.now();
  await door.stream(run_id);
  const outcomes = await door.decided(run_id, ROWS, 600_000);
  const decidedMs = performance.now() - startMs;
  const intents = ROWS + (outcomes['QUEUE'] ?? 0);
  const dla = await door.client('dla');
  const logged = async (): Promise<{ readonly signed: number; readonly by_kind: Readonly<Record<string, number>> }> =>
    (await dla.get('/v1/audit/status')).body as never;
  await eventually(logged, ({ by_kind }) => (by_kind['outcome'] ?? 0) >= intents, 600_000);
  const outcomesMs = performance.now() - startMs;
  await eventually(logged, ({ signed }) => signed >= 2 * (ROWS + intents), 600_000);
  const signedMs = performance.now() - startMs;
  const { by_type, reconciled } = await door.carriedOut(run_id, intents, 600_000);
  if (!reconciled || by_type['decision']?.on_bus !== ROWS) throw new Error('the run is not reconciled');
  const { compared, equal, took_ms } = await door.verified({ run_id }, 600_000);
  if (equal !== ROWS) throw new Error(`${equal} of ${compared} decisions came out the same`);
  const perSecond = (ms: number): string => Math.round((ROWS * 1_000) / ms).toLocaleString('en');
  note(
    `${ROWS.toLocaleString('en')} payments streamed as fast as accepted: ${perSecond(decidedMs)}/s to their decision, ${perSecond(outcomesMs)}/s to the last outcome on the bus, ${perSecond(signedMs)}/s to the last leaf under a signed checkpoint; reconciled after.`,
  );
  note(`Verified: ${perSecond(took_ms)} decisions/s made again and compared.`);
  note(`Resident memory at the most: ${Math.round(door.peakResidentBytes('all') / 2 ** 20)} MiB.`);
}

async function verdicts(door: Door): Promise<readonly SingleResult[]> {
  const run = await door.request({
    run_equivalence_key: 'live',
    world: { kind: 'live', scenario_id: 'live', traffic: [{ event_type: 'transaction', schema_version: 'v1' }] },
    strategy: 'AUTO',
  } as unknown as RunRequest);
  await door.settled(run.run_id);
  const key = readFileSync(join(door.data, 'keys', 'operator.key'), 'utf8').trim();
  const url = `${await door.program('all').url()}/v1/decisions`;
  const at = (ratePerS: number, seconds: number): Promise<SingleResult> =>
    openLoop({
      name: 'POST /v1/decisions',
      url,
      key,
      ratePerS,
      seconds,
      body: (n) => ({ transaction: plainTransaction(`${ratePerS}-${seconds}-${n}`, n), deadline_ms: 10_000 }),
      accepts: (status, text) => status === 200 && text.includes('"timed_out":false'),
    });
  await at(50, 5);
  return [await at(100, SECONDS), await at(200, SECONDS)];
}
