import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect } from '@jest/globals';
import { type RunPins } from '../../src/rails/pins.js';
import { type GateGround, onBus, openGate } from '../contract/ingestion-gate.kit.js';
import { eventually } from '../support/eventually.js';
import { seeded } from '../support/kafka-log.js';
import { type GateOrder, ORDER_VARIABLE } from './ingestion-gate.order.js';

/** `npm run build:test` compiles it. */
const CHILD = join(process.cwd(), '.build/test/faults/ingestion-gate.child.js');

/** Where each event was said to stand, over all lives of the gate; a second place for one event is a wrong. */
class Acks {
  readonly places = new Map<number, string>();
  readonly wrongs: string[] = [];
  admitted = 0;

  take(line: string): void {
    const [word, number, decision, place] = line.split(' ');
    if (word !== 'ack') return;
    const known = this.places.get(Number(number));
    if (known !== undefined && known !== place) this.wrongs.push(`e-${number} stands at ${known} and at ${place}`);
    if (decision === 'QUARANTINE') this.wrongs.push(`e-${number} was quarantined`);
    if (decision === 'ADMIT') this.admitted += 1;
    this.places.set(Number(number), place ?? '');
  }

  /** The first number without an answer. */
  get next(): number {
    let number = 0;
    while (this.places.has(number)) number += 1;
    return number;
  }
}

function start(order: GateOrder, acks: Acks) {
  const child: ChildProcess = spawn(process.execPath, ['--no-warnings', CHILD], {
    // Jest's own flags are not for the child.
    env: { ...process.env, NODE_OPTIONS: '', [ORDER_VARIABLE]: JSON.stringify(order) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const seen = { lines: 0, done: false, complaint: '', rest: '' };
  child.stdout?.on('data', (chunk: Buffer) => {
    const lines = `${seen.rest}${chunk.toString()}`.split('\n');
    seen.rest = lines.pop() ?? '';
    for (const line of lines) {
      acks.take(line);
      seen.lines += 1;
      if (line === 'done') seen.done = true;
    }
  });
  child.stderr?.on('data', (chunk: Buffer) => (seen.complaint += chunk.toString()));
  const ended = once(child, 'close');
  return { child, seen, ended };
}

export interface KilledOptions {
  readonly ground: GateGround;
  readonly run: RunPins;
  readonly order: Pick<GateOrder, 'bus' | 'place' | 'store'>;
  readonly seed: number;
  readonly lives: number;
  /** Whether some lives end between the append and the commit of the ledger. */
  readonly betweenSteps: boolean;
}

/**
 * A gate that is killed again and again while a client sends, each time at another moment, and at last left alone to answer everything. Then
 * each event that was ever sent stands on the topic once, where its receipts said, and the ledger says the same.
 */
export async function surviveKills({ ground, run, order, seed, lives, betweenSteps }: KilledOptions): Promise<void> {
  const random = seeded(seed);
  const acks = new Acks();
  const told = `(seed ${seed})`;
  let highest = 0;
  for (let life = 0; life < lives; life += 1) {
    const dieAfterAppends = betweenSteps && life % 2 === 0 ? 1 + Math.floor(random() * 12) : null;
    const { child, seen, ended } = start(
      { ...order, run, from: acks.next, until: null, seed: seed + life, dieAfterAppends },
      acks,
    );
    if (dieAfterAppends === null) {
      const lines = 1 + Math.floor(random() * 600);
      await eventually(
        () => child.exitCode ?? seen.lines,
        () => child.exitCode !== null || seen.lines >= lines,
        30_000,
      );
      child.kill('SIGKILL');
    }
    await ended;
    if (child.signalCode !== 'SIGKILL') throw new Error(`the gate ended by itself ${told}: ${seen.complaint}`);
    highest = Math.max(highest, ...acks.places.keys());
  }
  const last = start(
    { ...order, run, from: acks.next, until: highest + 50, seed: seed + lives, dieAfterAppends: null },
    acks,
  );
  await last.ended;
  if (!last.seen.done) throw new Error(`the last gate did not come to its end ${told}: ${last.seen.complaint}`);

  expect([told, acks.wrongs]).toEqual([told, []]);
  const records = (await onBus(ground.bus)).flatMap(({ value }) => {
    const { run_id, event_id } = JSON.parse(Buffer.from(value).toString()) as { run_id: string; event_id: string };
    return run_id === run.run_id ? [event_id] : [];
  });
  expect([told, records.length]).toEqual([told, new Set(records).size]);
  for (const number of acks.places.keys()) expect(records).toContain(`e-${number}`);
  const gate = await openGate(ground);
  const found = await eventually(
    () => gate.reconcile(run.run_id),
    ({ state }) => state === 'DONE',
    60_000,
  );
  await gate.onModuleDestroy();
  expect([told, found]).toMatchObject([told, { reconciled: true, admitted: records.length, on_bus: records.length }]);
  // Lives that ended before their answers were read admitted more than was acknowledged, never less.
  expect(acks.admitted).toBeLessThanOrEqual(records.length);
  expect(acks.admitted).toBeGreaterThan(0);
}
