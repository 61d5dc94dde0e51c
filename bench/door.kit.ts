import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import type { RunFactsView } from '../src/modules/scenario-runner/scenario-runner.port.js';
import { Door, importedRun } from '../test/support/door.js';
import { handbookFile } from '../test/support/handbook-file.js';
import { bareAppendRate } from './bare-append.js';

/** The file that `PROBITY_BENCH_FILE` names, in the layout of the preset `handbook`; else 200,000 rows from a seed. */
export function benchFile(): { readonly text: string; readonly name: string } {
  const path = process.env['PROBITY_BENCH_FILE'];
  if (path === undefined) return { text: handbookFile(200_000, 1), name: '200,000 rows from a seed' };
  if (!existsSync(path)) throw new Error(`PROBITY_BENCH_FILE: there is no ${path}`);
  const bytes = readFileSync(path);
  const packed = bytes[0] === 0x1f && bytes[1] === 0x8b;
  return { text: (packed ? gunzipSync(bytes) : bytes).toString('utf8'), name: path.split('/').at(-1) ?? path };
}

export interface Passage {
  readonly rows: number;
  readonly sealedMs: number;
  readonly streamedMs: number;
  readonly streamedAgainMs: number;
  /** Highest resident memory of each process, by its roles. */
  readonly residentBytes: Readonly<Record<string, number>>;
  readonly setDigest: string;
  /** Of the same records to the same bus without the door, after the door. */
  readonly bareAppendPerSecond: number;
}

/** A file through the door of these processes: sealed, admitted, and once more as duplicates. */
export async function passage(flavour: 'embedded' | 'real', groups: readonly string[], file: string): Promise<Passage> {
  const door = await Door.open(flavour, groups);
  try {
    const scenario = `bench-${randomBytes(4).toString('hex')}`;
    const startedMs = performance.now();
    const { run_id } = await importedRun(door, file, scenario);
    const run = await door.settled(run_id, 600_000);
    if (run.state !== 'READY') throw new Error(`the run is ${run.state}: ${run.detail ?? ''}`);
    const sealedMs = performance.now() - startedMs;
    const facts = (await (await door.client('sr')).get(`/v1/runs/${run_id}/facts`)).body as RunFactsView;
    const streamedMs = await timed(async () => {
      await door.stream(run_id);
      await door.streamed(run_id, 900_000);
    });
    const reconciliation = await door.reconciled(run_id, 600_000);
    if (!reconciliation.reconciled) throw new Error('the run is not reconciled');
    const bare = await bareAppendRate(door, 200_000);
    const streamedAgainMs = await timed(async () => {
      await door.stream(run_id, { again: true });
      await door.streamed(run_id, 900_000, 2);
    });
    return {
      rows: facts.counts?.rows_sealed ?? 0,
      sealedMs,
      streamedMs,
      streamedAgainMs,
      residentBytes: Object.fromEntries(groups.map((roles) => [roles, door.peakResidentBytes(roles)])),
      setDigest: reconciliation.set_digest ?? '',
      bareAppendPerSecond: bare.perSecond,
    };
  } finally {
    await door.close();
  }
}

export function noteOf(name: string, one: Passage): string {
  const perSecond = (count: number): string => Math.round(count).toLocaleString('en-US');
  const rate = (ms: number): string => perSecond((one.rows / ms) * 1_000);
  const share = (((one.rows / one.streamedMs) * 1_000) / one.bareAppendPerSecond).toFixed(2);
  const memory = Object.entries(one.residentBytes)
    .map(([roles, bytes]) => `${roles} ${Math.round(bytes / 2 ** 20)} MiB`)
    .join(', ');
  return (
    `- ${name}: ${one.rows.toLocaleString('en-US')} rows; sealed in ${(one.sealedMs / 1_000).toFixed(1)} s (${rate(one.sealedMs)} rows/s); ` +
    `admitted ${rate(one.streamedMs)}/s, ${share} of a bare append of the same records (${perSecond(one.bareAppendPerSecond)}/s); as duplicates ${rate(one.streamedAgainMs)}/s; peak memory ${memory}`
  );
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await work();
  return performance.now() - startMs;
}

/** For plain transactions of a load: an id, and a body of about 300 bytes. */
export function plainTransaction(id: string, n: number): object {
  const token = createHash('sha256').update(id).digest('hex').slice(0, 16);
  return {
    transaction_id: id,
    occurred_at: new Date(Date.UTC(2026, 0, 1) + n * 1_000).toISOString(),
    amount: `${1 + (n % 500)}.${String(n % 100).padStart(2, '0')}`,
    currency: 'EUR',
    card_id: `card-${n % 5_000}`,
    customer_id: `customer-${n % 5_000}`,
    merchant_id: `merchant-${n % 900}`,
    terminal_id: `terminal-${n % 1_200}`,
    device_id: token,
    mcc: '5411',
    country: 'FR',
    channel: 'ecommerce',
  };
}
