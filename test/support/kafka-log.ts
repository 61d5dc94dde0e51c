import { randomBytes } from 'node:crypto';
import {
  type Bus,
  type OutgoingRecord,
  type PartitionAppend,
  type TopicName,
} from '../../src/substrate/bus/bus.port.js';
import { asTopicName } from '../../src/rails/eb-ref.js';
import { fromEverywhere, readAll, records, texts } from '../../src/substrate/bus/contract/kit.js';

/** Numbers from a seed: a run that failed can be run again (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The seed of this run: given by hand to repeat one, else fresh; a test names it in its messages. */
export function faultSeed(): number {
  const given = process.env['PROBITY_FAULT_SEED'];
  return given === undefined ? randomBytes(4).readUInt32BE() : Number(given);
}

export const FULL = process.env['PROBITY_FAULTS'] === 'full';

export function freshTopic(word: string): TopicName {
  return asTopicName(`faults.${word}.${randomBytes(6).toString('hex')}`);
}

/** A batch over two partitions whose records say which batch they belong to and how many there are. */
export function tagged(topic: TopicName, id: string, count: number, padding = ''): readonly PartitionAppend[] {
  return [0, 1].map((partition) => ({
    topic,
    partition,
    records: records(`${id}*${count}*${partition}*${padding}`, count) satisfies OutgoingRecord[],
  }));
}

export interface Fates {
  readonly acknowledged: ReadonlySet<string>;
  /** Refused with the certainty that nothing was appended. */
  readonly refused: ReadonlySet<string>;
}

/** What is wrong with the log: lost, doubled, torn or ghostly batches, by id. Empty when all is well. */
export async function wrongsOfLog(bus: Bus, topic: TopicName, { acknowledged, refused }: Fates): Promise<string[]> {
  const wrongs: string[] = [];
  const log = [...(await readAll(bus, await fromEverywhere(bus, topic))).values()].flatMap(texts);
  const seen = new Map<string, { readonly expected: number; found: number }>();
  const once = new Set<string>();
  for (const text of log) {
    if (once.has(text)) wrongs.push(`doubled: ${text}`);
    once.add(text);
    const [id = '', count] = text.split('*');
    const batch = seen.get(id) ?? { expected: 2 * Number(count), found: 0 };
    batch.found += 1;
    seen.set(id, batch);
  }
  for (const [id, { expected, found }] of seen) {
    if (found !== expected) wrongs.push(`torn: ${id} has ${found} of ${expected} records`);
    if (refused.has(id)) wrongs.push(`refused, yet there: ${id}`);
  }
  for (const id of acknowledged) if (!seen.has(id)) wrongs.push(`acknowledged, yet lost: ${id}`);
  return wrongs;
}
