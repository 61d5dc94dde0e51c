import { Door } from '../test/support/door.js';
import { asked, live, normal, peakMiB, streamed, verifiedPerSecond } from './decisions.js';
import type { Bench } from './harness.js';

const ROWS = 20_000;
const SECONDS = 20;
const MINUTE_MS = 60_000;

/**
 * Whether history costs anything: a file and verdicts, then nine times that file in one go (which shows at once whether the rate holds for minutes),
 * then file and verdicts again.
 */
export const bench: Bench = async (note) => {
  const door = await Door.open('embedded', ['all']);
  try {
    await normal(door);
    await live(door);
    const before = await phase(door, 'before', note);
    const rates: number[] = [];
    const { rates: sustained } = await streamed(door, 9 * ROWS, 'sustained', async (runId) => {
      rates.push(...(await minutes(door, runId, 9 * ROWS)));
    });
    note(`${(9 * ROWS).toLocaleString('en')} payments in one go: ${sustained}; reconciled after.`);
    note(
      `Decided in each of its minutes: ${rates.map((rate) => `${rate}/s`).join(', ')}. ${peakMiB(door)} MiB at the most.`,
    );
    const after = await phase(door, 'after', note);
    return [before, after];
  } finally {
    await door.close();
  }
};

async function phase(door: Door, name: string, note: (text: string) => void) {
  const { runId, rates } = await streamed(door, ROWS, name);
  await asked(door, 50, 5, `${name}-warm`);
  const { timing } = await asked(door, 200, SECONDS, name);
  note(`${name}: ${ROWS.toLocaleString('en')} payments, ${rates}. ${peakMiB(door)} MiB at the most.`);
  note(`${name}: verified, ${await verifiedPerSecond(door, runId, ROWS)} decisions/s.`);
  return { name: `${name}: POST /v1/decisions at 200/s for ${SECONDS} s`, timing };
}

/** Decisions per second in each whole minute until all are made. */
async function minutes(door: Door, runId: string, rows: number): Promise<readonly number[]> {
  const df = await door.client('df');
  const count = async (): Promise<number> =>
    ((await df.get(`/v1/decisions/summary?run=${runId}`)).body as { decisions: number }).decisions;
  const rates: number[] = [];
  for (let seen = 0, atMs = performance.now(); ;) {
    await new Promise((resolve) => setTimeout(resolve, MINUTE_MS));
    const [now, nowMs] = [await count(), performance.now()];
    if (now >= rows) return rates;
    rates.push(Math.round(((now - seen) * 1_000) / (nowMs - atMs)));
    [seen, atMs] = [now, nowMs];
  }
}
