import { randomBytes } from 'node:crypto';
import { type ProbityError, isProbityError } from '../../../rails/errors/probity-error.js';
import { type ErrorCode } from '../../../rails/errors/registry.js';
import { type Database } from '../../database/database.port.js';
import { asGroupName } from '../bus.names.js';
import { asOffset, asTopicName } from '../../../rails/eb-ref.js';
import {
  type Bus,
  type BusReader,
  type BusRecord,
  type GroupName,
  type Offset,
  type OutgoingRecord,
  type Position,
  type TopicName,
  type TopicPartition,
  type TopicSpec,
} from '../bus.port.js';

/** What an adapter gives to be judged by the suite. */
export interface BusHarness {
  /** The bus as this process sees it. The harness closes it. */
  readonly bus: Bus;
  /** The same store as another process sees it: own connections, nothing shared in memory. The suite closes it. */
  openSecond(): Promise<Bus>;
  /** The same, over a line that can be cut. The suite closes it, after a cut too, which must not hang. */
  openCuttable(): Promise<CuttableBus>;
  /**
   * Given where `bus.transactional` is present, else absent: the database of some unit (a role that has no right on the
   * bus's tables) with a table `applied (name text primary key, value bigint not null)`.
   */
  readonly unitDatabase?: Database;
  close(): Promise<void>;
}

export interface CuttableBus {
  readonly bus: Bus;
  /** From now on nothing passes in either direction, not even a goodbye: a dead process or a broken network. */
  readonly cut: () => Promise<void>;
}

/** How long the suite waits for something that must happen. Generous: a group join on a real broker takes seconds. */
export const PATIENCE_MS = 30_000;
/** How long one case may take in all. */
export const CASE_LIMIT_MS = 90_000;
/** The shortest session timeout that brokers take by default. */
export const SESSION_TIMEOUT_MS = 6_000;
/** How long a wrong implementation is given to err. A right one passes whatever this number is. */
export const CHANCE_TO_ERR_MS = 700;

export interface Names {
  topic(word?: string): TopicName;
  group(word?: string): GroupName;
  producer(word?: string): string;
}

/** Names that no earlier run has used: stores outlive a run, and a case must not see what another left. */
export function freshNames(): Names {
  const fresh = (word: string) => `contract.${word}.${randomBytes(6).toString('hex')}`;
  return {
    topic: (word = 'topic') => asTopicName(fresh(word)),
    group: (word = 'group') => asGroupName(fresh(word)),
    producer: (word = 'producer') => fresh(word),
  };
}

export function pause(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs));
}

/** Polls until the probe gives something other than undefined or false; fails with what it waited for. */
export async function eventually<Result>(
  what: string,
  probe: () => Result | undefined | false | Promise<Result | undefined | false>,
  limitMs = PATIENCE_MS,
): Promise<Result> {
  const deadlineMs = performance.now() + limitMs;
  for (;;) {
    const result = await probe();
    if (result !== undefined && result !== false) return result;
    if (performance.now() > deadlineMs) throw new Error(`waited ${limitMs} ms in vain for: ${what}`);
    await pause(10);
  }
}

/** Fails with a sentence where a promise that must settle does not. */
export async function within<Result>(what: string, work: Promise<Result>, limitMs = PATIENCE_MS): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${limitMs} ms in vain for: ${what}`)), limitMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The ProbityError that the work rejects with; anything else fails the case. */
export async function refusal(work: Promise<unknown>, ...codes: readonly ErrorCode[]): Promise<ProbityError> {
  let outcome: unknown;
  try {
    await within(`a refusal with ${codes.join(' or ')}`, work);
  } catch (error) {
    outcome = error;
  }
  if (!isProbityError(outcome))
    throw new Error(`expected ${codes.join(' or ')}, got ${outcome instanceof Error ? outcome.message : 'success'}`, {
      cause: outcome,
    });
  if (!codes.includes(outcome.code)) throw new Error(`expected ${codes.join(' or ')}, got ${outcome.message}`);
  return outcome;
}

/** A promise that a case opens by hand: holds a handler exactly as long as it must be held. */
export interface Gate {
  readonly opened: Promise<void>;
  open(): void;
}

export function gate(): Gate {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open: () => open() };
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

export function record(text: string, more: Partial<OutgoingRecord> = {}): OutgoingRecord {
  return { key: null, value: new TextEncoder().encode(text), headers: {}, ...more };
}

export function records(word: string, count: number, from = 0): OutgoingRecord[] {
  return Array.from({ length: count }, (_, index) => record(`${word}-${from + index}`));
}

export function textOf(item: Pick<BusRecord, 'value'>): string {
  return utf8.decode(item.value);
}

export function texts(items: readonly Pick<BusRecord, 'value'>[]): string[] {
  return items.map(textOf);
}

export function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}

export function spec(topic: TopicName, partitions = 1, more: Partial<TopicSpec> = {}): TopicSpec {
  return { topic, partitions, recordBytesMax: 1_000_000, retentionMs: null, ...more };
}

export function at(topic: TopicName, partition: number, offset: number): Position {
  return { topic, partition, offset: asOffset(offset) };
}

/** All partitions of a topic from the given offset. */
export async function fromEverywhere(bus: Bus, topic: TopicName, offset = 0): Promise<Position[]> {
  const partitions = await bus.partitionsOf(topic);
  return Array.from({ length: partitions }, (_, partition) => at(topic, partition, offset));
}

/** Everything that stands between the positions and the high-water marks of now, by partition. */
export async function readAll(bus: Bus, positions: readonly Position[]): Promise<Map<string, BusRecord[]>> {
  const topics = [...new Set(positions.map(({ topic }) => topic))];
  const marks = (await Promise.all(topics.map((topic) => bus.marks(topic)))).flat();
  const ends = new Map(marks.map((mark) => [keyOf(mark), mark.highWater]));
  const found = new Map<string, BusRecord[]>(positions.map((position) => [keyOf(position), []]));
  const open = new Set(
    positions.filter((position) => position.offset < (ends.get(keyOf(position)) ?? 0)).map((place) => keyOf(place)),
  );
  const reader = await bus.openReader(positions);
  try {
    const deadlineMs = performance.now() + PATIENCE_MS;
    while (open.size > 0) {
      if (performance.now() > deadlineMs) throw new Error(`could not read to the end of ${[...open].join(', ')}`);
      for (const batch of await reader.poll({ recordsMax: 1_000, waitMs: 1_000 })) {
        const end = ends.get(keyOf(batch)) ?? 0;
        found.get(keyOf(batch))?.push(...batch.records.filter(({ offset }) => offset < end));
        if (batch.nextOffset >= end) open.delete(keyOf(batch));
      }
    }
  } finally {
    await reader.close();
  }
  return found;
}

export async function readPartition(bus: Bus, topic: TopicName, partition = 0): Promise<BusRecord[]> {
  const { lowWater } = await markOf(bus, topic, partition);
  return (await readAll(bus, [at(topic, partition, lowWater)])).get(keyOf({ topic, partition })) ?? [];
}

export async function markOf(
  bus: Bus,
  topic: TopicName,
  partition = 0,
): Promise<{ lowWater: Offset; highWater: Offset }> {
  const mark = (await bus.marks(topic)).find((candidate) => candidate.partition === partition);
  if (mark === undefined) throw new Error(`no marks of ${topic}/${partition}`);
  return mark;
}

/** Polls until `count` records came; more than that fails. */
export async function pollCount(reader: BusReader, count: number): Promise<BusRecord[]> {
  const found: BusRecord[] = [];
  const deadlineMs = performance.now() + PATIENCE_MS;
  while (found.length < count) {
    if (performance.now() > deadlineMs) throw new Error(`only ${found.length} of ${count} records came`);
    for (const batch of await reader.poll({ recordsMax: count, waitMs: 500 })) found.push(...batch.records);
  }
  if (found.length > count) throw new Error(`${found.length} records came instead of ${count}`);
  return found;
}

/** Appends through a producer of its own. */
export async function append(bus: Bus, topic: TopicName, items: readonly OutgoingRecord[], partition = 0) {
  const producer = await bus.openProducer({ name: freshNames().producer('writer') });
  try {
    const [appended] = await producer.append([{ topic, partition, records: items }]);
    if (appended === undefined) throw new Error('an append of one entry gave no answer');
    return appended;
  } finally {
    await producer.close();
  }
}
