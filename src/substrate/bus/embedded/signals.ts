import { randomBytes } from 'node:crypto';
import { type Clock } from '../../clock/clock.port.js';
import { type Database, type Session } from '../../database/database.port.js';
import { type GroupName, type OutgoingRecord } from '../bus.port.js';
import { Bell } from './bell.js';
import { closeSession } from './farewell.js';

/** A partition by the numbers that the database knows it by. */
export interface PlaceId {
  readonly topicId: number;
  readonly partition: number;
}

/** The safety net's mesh: a notification that got lost costs this much latency and never a record. */
const POLL_MS = 250;
/** NOTIFY takes a lock of the whole database at its commit; so a process does it every other millisecond at most. */
const NOTIFY_EVERY_MS = 2;
/** A payload holds 8,000 bytes; a place takes up to 16. */
const PLACES_PER_NOTIFY = 400;
const RECONNECT_MS = { first: 50, last: 2_000 } as const;

const CHANNEL = 'probity_bus';
const NOTIFY = {
  name: 'bus_notify',
  text: 'select pg_notify($1, payload) from unnest($2::text[]) as payload',
} as const;
const POLL = {
  name: 'bus_poll',
  text: 'select topic_id, partition, next_offset from partitions where topic_id = any($1)',
  readOnly: true,
} as const;

interface PolledRow {
  readonly topic_id: number;
  readonly partition: number;
  readonly next_offset: number;
}

function keyOf({ topicId, partition }: PlaceId): string {
  return `${topicId}/${partition}`;
}

/**
 * Who is told when a partition grew or a group changed. Three ways lead to an ear, and the first one wins:
 *
 * - in this process at once, by a call;
 * - to other processes by a NOTIFY of its own, after the commit and never within it: notifying transactions commit one
 *   after the other, and every append would queue behind every other of the whole platform;
 * - by a look at the partitions' rows, for what the first two lost (a broken connection, a process that died between its
 *   commit and its NOTIFY).
 */
export class Signals {
  readonly #database: Database;
  readonly #clock: Clock;
  /** Tells our own notifications from others': what we did, our ears know already. */
  readonly #self = randomBytes(6).toString('hex');
  readonly #places = new Map<string, Set<Ear>>();
  readonly #groups = new Map<string, Set<Ear>>();
  readonly #known = new Map<string, number>();
  readonly #outgoing = new Set<string>();
  readonly #outgoingBell: Bell;
  readonly #end = new AbortController();
  #loops: Promise<unknown>[] = [];
  #sender: Promise<void> | undefined;

  constructor(database: Database, clock: Clock) {
    this.#database = database;
    this.#clock = clock;
    this.#outgoingBell = new Bell(clock);
  }

  /**
   * Calls `wake` whenever one of these partitions may have grown, with the records where it is known by which it grew. Who heard of some and did
   * not heed them is told again by the next look, without them. Returns how to stop that.
   */
  onAppend<Place extends PlaceId>(
    places: readonly Place[],
    wake: (place: Place, records: readonly OutgoingRecord[] | undefined) => void,
  ): () => void {
    this.#listen();
    const ears = places.map((place): readonly [string, Ear] => [keyOf(place), (records) => wake(place, records)]);
    return subscribe(this.#places, ears);
  }

  onGroup(group: GroupName, wake: () => void): () => void {
    this.#listen();
    return subscribe(this.#groups, [[group, wake]]);
  }

  appended(parts: readonly (PlaceId & { readonly records: readonly OutgoingRecord[] })[]): void {
    for (const part of parts) {
      const key = keyOf(part);
      ring(this.#places, key, part.records);
      this.#outgoing.add(`a${key}`);
    }
    this.#send();
  }

  groupChanged(group: GroupName): void {
    ring(this.#groups, group);
    this.#outgoing.add(`g${group}`);
    this.#send();
  }

  async close(): Promise<void> {
    // What is still to be told is told first; the poll of the others would find it, only later.
    await this.#sender;
    this.#end.abort();
    this.#outgoingBell.ring();
    await Promise.all(this.#loops);
  }

  #send(): void {
    if (this.#end.signal.aborted) return;
    this.#sender ??= this.#sendAll().finally(() => {
      this.#sender = undefined;
    });
  }

  async #sendAll(): Promise<void> {
    while (this.#outgoing.size > 0 && !this.#end.signal.aborted) {
      const words = [...this.#outgoing];
      this.#outgoing.clear();
      const payloads: string[] = [];
      for (let at = 0; at < words.length; at += PLACES_PER_NOTIFY)
        payloads.push([this.#self, ...words.slice(at, at + PLACES_PER_NOTIFY)].join(' '));
      // A lost notification is what the poll is for.
      await this.#database.query(NOTIFY, [CHANNEL, payloads]).catch(() => undefined);
      await this.#clock.sleep(NOTIFY_EVERY_MS, this.#end.signal);
    }
  }

  /** Starts the ears of this process with the first that wants to hear. */
  #listen(): void {
    if (this.#loops.length > 0 || this.#end.signal.aborted) return;
    this.#loops = [this.#keepSession(), this.#poll()];
  }

  async #keepSession(): Promise<void> {
    for (let failures = 0; !this.#end.signal.aborted;) {
      let session: Session | undefined;
      try {
        session = await this.#database.session();
        await session.listen(CHANNEL, (payload) => this.#hear(payload));
        failures = 0;
        await aborted(AbortSignal.any([session.closed, this.#end.signal]));
      } catch {
        failures += 1;
      } finally {
        if (session !== undefined) await closeSession(session, this.#clock);
      }
      const waitMs = Math.min(RECONNECT_MS.last, RECONNECT_MS.first * 2 ** Math.min(failures, 10));
      await this.#clock.sleep(waitMs, this.#end.signal);
    }
  }

  #hear(payload: string): void {
    const [sender, ...words] = payload.split(' ');
    if (sender === this.#self) return;
    for (const word of words) ring(word.startsWith('g') ? this.#groups : this.#places, word.slice(1));
  }

  async #poll(): Promise<void> {
    while (!this.#end.signal.aborted) {
      await this.#clock.sleep(POLL_MS, this.#end.signal);
      const topicIds = [...new Set([...this.#places.keys()].map((key) => Number(key.split('/')[0])))];
      if (topicIds.length === 0) continue;
      const polled = await this.#database.query<PolledRow>(POLL, [topicIds]).catch(() => undefined);
      for (const row of polled?.rows ?? []) {
        const key = keyOf({ topicId: row.topic_id, partition: row.partition });
        if (this.#known.get(key) === row.next_offset) continue;
        this.#known.set(key, row.next_offset);
        ring(this.#places, key);
      }
    }
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

type Ear = (records?: readonly OutgoingRecord[]) => void;

function subscribe(ears: Map<string, Set<Ear>>, wakes: readonly (readonly [string, Ear])[]): () => void {
  for (const [key, wake] of wakes) {
    const found = ears.get(key) ?? new Set();
    ears.set(key, found.add(wake));
  }
  return () => {
    for (const [key, wake] of wakes) {
      const found = ears.get(key);
      found?.delete(wake);
      if (found?.size === 0) ears.delete(key);
    }
  };
}

function ring(ears: ReadonlyMap<string, ReadonlySet<Ear>>, key: string, records?: readonly OutgoingRecord[]): void {
  for (const wake of ears.get(key) ?? []) wake(records);
}
