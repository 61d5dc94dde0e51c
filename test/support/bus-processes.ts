import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect } from '@jest/globals';
import { type Bus, type TopicName } from '../../src/substrate/bus/bus.port.js';
import { eventually, fromEverywhere, readAll, textOf } from '../../src/substrate/bus/contract/kit.js';
import { type Database } from '../../src/substrate/database/database.port.js';
import { type ChildOrder } from './bus-child.js';

/** A member or a producer as an operating-system process of its own, compiled by `npm run build:test`. */
export class BusChild {
  readonly order: ChildOrder;
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  #out = '';
  #errors = '';

  constructor(order: ChildOrder) {
    this.order = order;
    const main = join(process.cwd(), '.build', 'test', 'support', 'bus-child.js');
    // Jest's own switches are not for the program.
    const { NODE_OPTIONS: _, ...env } = process.env;
    this.#child = spawn(process.execPath, [main, JSON.stringify(order)], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child.stdout?.on('data', (piece: Buffer) => (this.#out += piece.toString('utf8')));
    this.#child.stderr?.on('data', (piece: Buffer) => (this.#errors += piece.toString('utf8')));
    this.#exited = once(this.#child, 'close');
  }

  /** Every whole line it has said, as words. */
  get lines(): string[][] {
    return this.#out
      .split('\n')
      .slice(0, -1)
      .map((line) => line.split(' '));
  }

  said(word: string): string[][] {
    return this.lines.filter(([first]) => first === word);
  }

  /** The partitions that it has now, by its own account. */
  get partitions(): number[] {
    const held = new Set<string>();
    for (const [word, ...places] of this.lines)
      for (const place of places) {
        if (word === 'assigned') held.add(place);
        if (word === 'released' || word === 'lost') held.delete(place);
      }
    return [...held].map(Number).sort();
  }

  async ready(): Promise<this> {
    await eventually(`the child ${this.order.run} to be ready`, () => {
      if (this.#child.exitCode !== null) throw new Error(`the child ended: ${this.#errors}`);
      return this.said('ready').length > 0;
    });
    return this;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Sends the signal and waits for the end. */
  async end(signal: NodeJS.Signals): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill(signal);
    await this.#exited;
    if (signal === 'SIGTERM' && this.#child.exitCode !== 0)
      throw new Error(`the child ended with ${String(this.#child.exitCode)}: ${this.#errors}`);
  }

  get errors(): string {
    return this.#errors;
  }
}

export interface Effect {
  readonly partition: number;
  readonly record_offset: number;
  readonly word: string;
}

export async function effectsOf(unit: Database): Promise<readonly Effect[]> {
  const { rows } = await unit.query<Effect>(
    'select partition, record_offset, word from effects order by partition, record_offset',
  );
  return rows;
}

/** Waits until the unit's positions have reached the end of every partition. */
export async function caughtUp(bus: Bus, unit: Database, topic: TopicName): Promise<void> {
  await eventually('the consumers to catch up', async () => {
    const marks = await bus.marks(topic).catch(() => undefined);
    const positions = await unit
      .query<{ partition: number; next_offset: number }>('select partition, next_offset from positions')
      .catch(() => undefined);
    return marks?.every(
      ({ partition, highWater }) =>
        highWater === 0 || positions?.rows.find((row) => row.partition === partition)?.next_offset === highWater,
    );
  });
}

/**
 * What must hold after any crash, whoever was killed: every acknowledged batch stands on the log, every batch that stands
 * there stands whole and once, no refused one does, and the unit's effects are the log's records, each once and in order.
 */
export async function verifyLogAndEffects(
  bus: Bus,
  unit: Database,
  topic: TopicName,
  producers: readonly BusChild[],
): Promise<{ readonly records: number; readonly batches: number; readonly unknown: number }> {
  const log = await readAll(bus, await fromEverywhere(bus, topic));
  const words = [...log.entries()].flatMap(([key, found]) =>
    found.map((item) => ({
      partition: Number(key.split('/')[1]),
      record_offset: Number(item.offset),
      word: textOf(item).split(':x')[0] ?? '',
    })),
  );
  const batches = new Map<string, { size: number; indexes: number[] }>();
  for (const { word } of words) {
    const [id = '', place = ''] = word.split(':');
    const [index, size] = place.split('/').map(Number);
    const batch = batches.get(id) ?? { size: size ?? 0, indexes: [] };
    batches.set(id, batch);
    batch.indexes.push(index ?? -1);
  }
  const broken = [...batches].filter(
    ([, { size, indexes }]) =>
      [...indexes].sort((one, two) => one - two).join() !== Array.from({ length: size }, (_, index) => index).join(),
  );
  expect(broken).toEqual([]);
  const said = (word: string) => producers.flatMap((child) => child.said(word).map(([, id]) => id ?? ''));
  expect(said('ack').filter((id) => !batches.has(id))).toEqual([]);
  expect(said('refused').filter((id) => batches.has(id))).toEqual([]);
  const sorted = words.sort((one, two) => one.partition - two.partition || one.record_offset - two.record_offset);
  expect(await effectsOf(unit)).toEqual(sorted);
  return { records: words.length, batches: batches.size, unknown: said('unknown').length };
}
