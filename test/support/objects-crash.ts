import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { BINARY, eventually, freshPrefix, listAll, noise } from '../../src/substrate/objects/contract/kit.js';
import { type Objects } from '../../src/substrate/objects/objects.port.js';
import { startChild } from './objects-harness.js';
import { soakObject, type SoakLine, type SoakTask } from './objects-soak.js';
import { type StoreSpec } from './objects-store.js';

export interface CrashPlan {
  readonly spec: StoreSpec;
  readonly rounds: number;
  readonly bytesMax: number;
  /** The store as it is after the crash; closed again in each round. */
  openStore(): Promise<Objects>;
  /** What is killed; the writing process when this is missing. It must be up again when the promise resolves. */
  crash?(round: number): Promise<void>;
}

export interface CrashTotals {
  readonly rounds: number;
  readonly acknowledged: number;
  /** Puts that were begun and had no answer when the kill came. */
  readonly unanswered: number;
}

/**
 * In each round a process puts objects until it, or the server under it, is killed at a moment that the seed decides.
 * Then every acknowledged object must be whole, every visible one too, and each put that had no answer can be made again.
 */
export async function crashRounds(plan: CrashPlan): Promise<CrashTotals> {
  let acknowledged = 0;
  let unanswered = 0;
  for (let round = 0; round < plan.rounds; round += 1) {
    const task: SoakTask = {
      task: 'soak',
      prefix: freshPrefix(),
      seed: round + 1,
      width: 6,
      bytesMax: plan.bytesMax,
    };
    const { begun, acks } = await soakUntilKilled(plan, task, round);
    await checkAfterwards(plan, task, begun, acks);
    acknowledged += acks.size;
    unanswered += begun.size - acks.size;
  }
  return { rounds: plan.rounds, acknowledged, unanswered };
}

interface Watched {
  readonly begun: Set<number>;
  readonly acks: Map<number, string>;
}

async function soakUntilKilled(plan: CrashPlan, task: SoakTask, round: number): Promise<Watched> {
  const begun = new Set<number>();
  const acks = new Map<number, string>();
  const child = startChild(plan.spec, task);
  const closed = once(child, 'close');
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
  createInterface({ input: child.stdout }).on('line', (text) => {
    // A line that the kill cut off is no answer.
    if (!text.endsWith('}')) return;
    const line = JSON.parse(text) as SoakLine;
    if ('begin' in line) begun.add(line.begin);
    else acks.set(line.ack, line.outcome);
  });
  try {
    await eventually(() => acks.size >= 3 || child.exitCode !== null, 30_000);
    await new Promise((resolve) => setTimeout(resolve, noise(2, round + 77).readUInt16LE() % 250));
    if (plan.crash === undefined) child.kill('SIGKILL');
    else await plan.crash(round);
  } finally {
    // A server that comes back lets the writer go on: it is stopped here. Before that, it may have met an error.
    child.kill('SIGKILL');
    await closed;
  }
  if (acks.size < 3) throw new Error(`the writer ended by itself: ${complaint.slice(-2_000)}`);
  const wrong = [...acks].filter(([, outcome]) => outcome !== 'NEW');
  if (wrong.length > 0) throw new Error(`first puts were answered ${JSON.stringify(wrong)}`);
  return { begun, acks };
}

async function checkAfterwards(
  plan: CrashPlan,
  task: SoakTask,
  begun: ReadonlySet<number>,
  acks: ReadonlyMap<number, string>,
): Promise<void> {
  const store = await plan.openStore();
  try {
    const indexes = [...begun];
    const objects = indexes.map((index) => soakObject(task, index));
    const found = await Promise.all(objects.map(({ key }) => store.head(key)));
    // Listed after the look at each key: what a dead writer had sent may reach a living server while we look, so an
    // object may appear between the two. Whatever was found must be listed by now, and nothing that is listed may be missing.
    const visible = new Set(await listAll(store, task.prefix, 1_000));
    const known = new Set<string>(objects.map(({ key }) => key));
    const strangers = [...visible].filter((key) => !known.has(key));
    if (strangers.length > 0) throw new Error(`nobody put ${strangers.join(', ')}`);
    await Promise.all(
      objects.map(async ({ key, bytes }, at) => {
        const acknowledged = acks.has(indexes[at] ?? -1);
        const early = found[at] ?? null;
        if (early !== null && !visible.has(key)) throw new Error(`${key} is found and not listed`);
        if (early === null && acknowledged) throw new Error(`${key} was acknowledged and is gone`);
        const ref = early ?? (visible.has(key) ? await store.head(key) : null);
        if (ref === null && visible.has(key)) throw new Error(`${key} is listed and not found`);
        if (ref !== null && Buffer.compare(await store.read(ref), bytes) !== 0) throw new Error(`${key} is not whole`);
        const { outcome } = await store.putIfAbsent(key, bytes, BINARY);
        // A killed server takes its open requests with it; one that lives may finish them until the last moment.
        const expected = ref !== null ? ['DUPLICATE'] : plan.crash === undefined ? ['NEW', 'DUPLICATE'] : ['NEW'];
        if (!expected.includes(outcome)) {
          throw new Error(`${key} was put again: ${outcome} instead of ${expected.join(' or ')}`);
        }
      }),
    );
  } finally {
    await store.close();
  }
}
