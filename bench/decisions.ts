import type { Posture } from '../src/rails/events/posture.schema.js';
import type { RunRequest } from '../src/modules/scenario-runner/scenario-runner.port.js';
import { Door, importedRun } from '../test/support/door.js';
import { eventually } from '../test/support/eventually.js';
import { handbookFile } from '../test/support/handbook-file.js';
import { Http } from '../test/support/http.js';
import { openInside } from '../test/support/inside.js';
import { asTopicName } from '../src/rails/eb-ref.js';
import { plainTransaction } from './door.kit.js';
import { type Bench, type BenchResult, type SingleResult, timingOf } from './harness.js';
import { openLoop } from './open-loop.js';

const ROWS = 40_000;
const SECONDS = 20;

/** The whole path, all roles in one process: a file decided and carried out, decided again, and verdicts at once at a fixed rate. */
export const bench: Bench = (note) => wholePath('embedded', note);

export async function wholePath(
  flavour: 'embedded' | 'real',
  note: (text: string) => void,
  groups: readonly string[] = ['all'],
): Promise<readonly BenchResult[]> {
  const door = await Door.open(flavour, groups);
  try {
    const processes = groups.length === 1 ? 'All roles in one process' : `Processes of ${groups.join(' and of ')}`;
    note(
      flavour === 'embedded'
        ? `${processes}, embedded database with fsync on; the load comes from another process of the machine.`
        : `${processes}, on Kafka, S3 and Postgres; servers and load on the same two cores.`,
    );
    await normal(door);
    await throughput(door, groups, note);
    const results = await verdicts(door);
    if (flavour === 'embedded' && groups.length === 1) await rebuild(door, note);
    return results;
  } finally {
    await door.close();
  }
}

async function throughput(door: Door, groups: readonly string[], note: (text: string) => void): Promise<void> {
  const { runId, rates } = await streamed(door, ROWS, 'bench');
  note(`${ROWS.toLocaleString('en')} payments streamed as fast as accepted: ${rates}; reconciled after.`);
  note(`Verified: ${await verifiedPerSecond(door, runId, ROWS)} decisions/s made again and compared.`);
  note(`Resident memory at the most: ${groups.map((roles) => peakMiB(door, roles)).join(' and ')} MiB.`);
}

/** A file streamed as fast as it is accepted, until its last record is a leaf under a signed checkpoint; reconciled. */
export async function streamed(
  door: Door,
  rows: number,
  name: string,
  meanwhile: (runId: string) => Promise<void> = () => Promise.resolve(),
): Promise<{ readonly runId: string; readonly rates: string }> {
  const { run_id: runId } = await importedRun(door, handbookFile(rows, 5), name);
  await door.settled(runId, 120_000);
  const dla = await door.client('dla');
  const logged = async (): Promise<{ readonly signed: number; readonly by_kind: Readonly<Record<string, number>> }> =>
    (await dla.get('/v1/audit/status')).body as never;
  const before = await logged();
  const startMs = performance.now();
  await door.stream(runId);
  await meanwhile(runId);
  const outcomes = await door.decided(runId, rows, 1_800_000);
  const decidedMs = performance.now() - startMs;
  const intents = rows + (outcomes['QUEUE'] ?? 0);
  const carriedOut = (before.by_kind['outcome'] ?? 0) + intents;
  await eventually(logged, ({ by_kind }) => (by_kind['outcome'] ?? 0) >= carriedOut, 600_000);
  const outcomesMs = performance.now() - startMs;
  await eventually(logged, ({ signed }) => signed >= before.signed + 2 * (rows + intents), 600_000);
  const signedMs = performance.now() - startMs;
  const { by_type, reconciled } = await door.carriedOut(runId, intents, 600_000);
  if (!reconciled || by_type['decision']?.on_bus !== rows) throw new Error('the run is not reconciled');
  const perSecond = (ms: number): string => Math.round((rows * 1_000) / ms).toLocaleString('en');
  return {
    runId,
    rates: `${perSecond(decidedMs)}/s to their decision, ${perSecond(outcomesMs)}/s to the last outcome on the bus, ${perSecond(signedMs)}/s to the last leaf under a signed checkpoint`,
  };
}

export async function verifiedPerSecond(door: Door, runId: string, rows: number): Promise<string> {
  const { compared, equal, took_ms } = await door.verified({ run_id: runId }, 1_800_000);
  if (equal !== rows) throw new Error(`${equal} of ${compared} decisions came out the same`);
  return Math.round((rows * 1_000) / took_ms).toLocaleString('en');
}

export function peakMiB(door: Door, roles = 'all'): number {
  return Math.round(door.peakResidentBytes(roles) / 2 ** 20);
}

/** Until the ladder allows everything: what a process that has just started decides, it decides under a mask. */
export async function normal(door: Door): Promise<void> {
  const dl = await door.client('dl');
  await eventually(
    async () => ((await dl.get('/v1/posture')).body as { posture: Posture | null }).posture?.mode,
    (mode) => mode === 'NORMAL',
    60_000,
  );
}

async function verdicts(door: Door): Promise<readonly SingleResult[]> {
  await live(door);
  await asked(door, 50, 5, 'warm');
  const results = [await asked(door, 100, SECONDS, 'bench'), await asked(door, 200, SECONDS, 'bench')];
  return door.embedded ? [...results, await bareInserts(door, 200, SECONDS)] : results;
}

/** A run for payments that come one by one. */
export async function live(door: Door): Promise<void> {
  const run = await door.request({
    run_equivalence_key: 'live',
    world: { kind: 'live', scenario_id: 'live', traffic: [{ event_type: 'transaction', schema_version: 'v1' }] },
    strategy: 'AUTO',
  } as unknown as RunRequest);
  await door.settled(run.run_id);
}

/** Verdicts at a fixed rate. @param name sets the payments of this call apart from those of others */
export async function asked(door: Door, ratePerS: number, seconds: number, name: string): Promise<SingleResult> {
  return await openLoop({
    name: 'POST /v1/decisions',
    url: `${await door.urlOf('df')}/v1/decisions`,
    key: door.key(),
    ratePerS,
    seconds,
    body: (n) => ({ transaction: plainTransaction(`${name}-${ratePerS}-${n}`, n), deadline_ms: 10_000 }),
    accepts: (status, text) => status === 200 && text.includes('"timed_out":false'),
  });
}

/** One row inserted and committed for each request, at the same rate on the same server: what nobody could be faster than. */
async function bareInserts(door: Door, ratePerS: number, seconds: number): Promise<SingleResult> {
  const inside = await openInside(door.data);
  const times: number[] = [];
  try {
    await inside.administrate('create table bench_rows (number bigint, body text)');
    await inside.pooled(8, async (query) => {
      const startMs = performance.now();
      const pending: Promise<void>[] = [];
      for (let n = 0; n < ratePerS * seconds; n += 1) {
        const dueMs = startMs + (n * 1_000) / ratePerS;
        const waitMs = dueMs - performance.now();
        if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
        const body = JSON.stringify(plainTransaction(`bare-${n}`, n));
        pending.push(
          query('insert into bench_rows values ($1, $2)', [n, body]).then(() => {
            times.push(performance.now() - dueMs);
          }),
        );
      }
      await Promise.all(pending);
    });
  } finally {
    await inside.close();
  }
  return { name: `bare: one row inserted and committed at ${ratePerS}/s for ${seconds} s`, timing: timingOf(times) };
}

/** How long features and graph take to be made again from the bus alone, when nothing of them is left. */
async function rebuild(door: Door, note: (text: string) => void): Promise<void> {
  await door.kill('all');
  const inside = await openInside(door.data);
  let records = 0;
  try {
    for (const { highWater } of await inside.bus.marks(asTopicName('fp.bus.traffic.v1'))) records += highWater;
    for (const schema of ['ofp', 'ieg']) {
      const tables = await inside.administrate(
        `select table_name as name from information_schema.tables where table_schema = $1 and table_name in ('segments', 'positions', 'runs')`,
        [schema],
      );
      for (const { name } of tables) await inside.administrate(`truncate ${schema}.${String(name)} cascade`);
    }
  } finally {
    await inside.close();
  }
  for (const role of ['ofp', 'ieg'] as const) {
    const startMs = performance.now();
    await door.start(role);
    // The process of all roles is gone; this one runs alone.
    const client = new Http(await door.program(role).url(), door.key());
    const path = role === 'ofp' ? '/v1/features/status' : '/v1/graph/status';
    const bootedMs = performance.now();
    await eventually(
      async () => JSON.stringify((await client.get(path)).body),
      (text) => sumOfOffsets(text) >= records,
      600_000,
    );
    const seconds = (performance.now() - bootedMs) / 1_000;
    const boot = ((bootedMs - startMs) / 1_000).toFixed(1);
    note(
      `Rebuild of ${role}: ${records.toLocaleString('en')} records of the bus in ${seconds.toFixed(1)} s after a start of ${boot} s.`,
    );
    await door.kill(role);
  }
}

/** What a status says of how far it has read the traffic topic. */
function sumOfOffsets(text: string): number {
  const basis = /"fp\.bus\.traffic\.v1":\{([^}]*)\}/.exec(text)?.[1] ?? '';
  return [...basis.matchAll(/:(\d+)/g)].reduce((sum, [, offset]) => sum + Number(offset), 0);
}
