import { asOffset } from '../../../rails/eb-ref.js';
import {
  type BatchControl,
  type Bus,
  type BusConsumer,
  type ConsumerOptions,
  type GroupName,
  type Offset,
  type Position,
  type RecordBatch,
  type TopicName,
  type TopicPartition,
} from '../bus.port.js';
import { eventually, keyOf, SESSION_TIMEOUT_MS, textOf } from './kit.js';

/**
 * A consumer's own store as law R5 wants it: what was applied and the next offset change together. Kept in memory, so
 * "one transaction" is one synchronous step. It notices what would be a lost or a doubled effect.
 */
export class AppliedStore {
  readonly #next = new Map<string, Offset>();
  readonly #applied = new Map<string, string[]>();
  readonly faults: string[] = [];
  /** Every question for positions, in order. */
  readonly asked: (readonly TopicPartition[])[] = [];

  positions = (partitions: readonly TopicPartition[]): Promise<readonly Position[]> => {
    this.asked.push(partitions);
    return Promise.resolve(
      partitions.flatMap(({ topic, partition }) => {
        const offset = this.#next.get(keyOf({ topic, partition }));
        return offset === undefined ? [] : [{ topic, partition, offset }];
      }),
    );
  };

  put(place: TopicPartition, offset: number): void {
    this.#next.set(keyOf(place), asOffset(offset));
  }

  next(place: TopicPartition): Offset | undefined {
    return this.#next.get(keyOf(place));
  }

  /** Applies a batch whole. */
  apply(batch: RecordBatch): void {
    const key = keyOf(batch);
    const next = this.#next.get(key);
    const first = batch.records[0];
    if (first !== undefined && next !== undefined && first.offset < next)
      this.faults.push(`${key}: delivered from ${first.offset} though the store stands at ${next}`);
    this.#next.set(key, batch.nextOffset);
    this.applied(batch).push(...batch.records.map(textOf));
  }

  /** What was applied of a partition, in order. */
  applied(place: TopicPartition): string[] {
    const found = this.#applied.get(keyOf(place)) ?? [];
    this.#applied.set(keyOf(place), found);
    return found;
  }

  get count(): number {
    let count = 0;
    for (const applied of this.#applied.values()) count += applied.length;
    return count;
  }
}

export type GroupEvent =
  | { readonly kind: 'assigned'; readonly member: string; readonly places: readonly string[] }
  | { readonly kind: 'revoking'; readonly member: string; readonly places: readonly string[]; readonly how: string }
  | { readonly kind: 'revoked'; readonly member: string; readonly places: readonly string[]; readonly how: string }
  | { readonly kind: 'batch'; readonly member: string; readonly places: readonly string[] };

/**
 * What a group must never do, judged while it happens: a partition belongs to one member from onAssigned until its
 * onRevoked has ended, only its owner gets batches of it, and one at a time.
 */
export class GroupWatch {
  readonly faults: string[] = [];
  readonly events: GroupEvent[] = [];
  readonly #owner = new Map<string, string>();
  readonly #busy = new Set<string>();
  readonly #dead = new Set<string>();

  owned(member: string): string[] {
    return [...this.#owner].flatMap(([key, owner]) => (owner === member ? [key] : [])).sort();
  }

  ownerOf(place: TopicPartition): string | undefined {
    return this.#owner.get(keyOf(place));
  }

  /** How many partitions each member has, only of those that have any. */
  get shares(): number[] {
    const shares = new Map<string, number>();
    for (const owner of this.#owner.values()) shares.set(owner, (shares.get(owner) ?? 0) + 1);
    return [...shares.values()].sort();
  }

  /** From now on others may take over what this member has without its handing over. */
  bury(member: string): void {
    this.#dead.add(member);
  }

  assigned(member: string, places: readonly TopicPartition[]): void {
    for (const key of places.map(keyOf)) {
      const owner = this.#owner.get(key);
      if (owner !== undefined && !this.#dead.has(owner))
        this.faults.push(`${key} was given to ${member} while ${owner} had it`);
      this.#owner.set(key, member);
    }
    this.events.push({ kind: 'assigned', member, places: places.map(keyOf) });
  }

  revoking(member: string, places: readonly TopicPartition[], how: string): void {
    this.events.push({ kind: 'revoking', member, places: places.map(keyOf), how });
    for (const key of places.map(keyOf))
      if (this.#busy.has(`${member} ${key}`)) this.faults.push(`${key} was revoked while its batch was in flight`);
  }

  revoked(member: string, places: readonly TopicPartition[], how: string): void {
    for (const key of places.map(keyOf)) if (this.#owner.get(key) === member) this.#owner.delete(key);
    this.events.push({ kind: 'revoked', member, places: places.map(keyOf), how });
  }

  async batch(member: string, batch: RecordBatch, work: () => Promise<void>): Promise<void> {
    const key = keyOf(batch);
    const flight = `${member} ${key}`;
    if (this.#owner.get(key) !== member) this.faults.push(`${member} got a batch of ${key}, which it does not have`);
    if (this.#busy.has(flight)) this.faults.push(`${member} got a second batch of ${key} beside the first`);
    if (batch.records.length === 0) this.faults.push(`${member} got an empty batch of ${key}`);
    this.#busy.add(flight);
    this.events.push({ kind: 'batch', member, places: [key] });
    try {
      await work();
    } finally {
      this.#busy.delete(flight);
    }
  }
}

export type Handler = (batch: RecordBatch, control: BatchControl) => Promise<void>;

export interface MemberPlan extends Partial<Omit<ConsumerOptions, 'onBatch' | 'topics' | 'group'>> {
  readonly name: string;
  readonly bus: Bus;
  readonly group: GroupName;
  readonly topics: readonly TopicName[];
  readonly watch: GroupWatch;
  readonly store: AppliedStore;
  /** What to do with a batch; without it the batch is applied to the store. */
  readonly handler?: Handler;
}

/** A consumer whose every move is judged by the watch. */
export function member(plan: MemberPlan): BusConsumer {
  const { name, bus, watch, store, handler, onAssigned, onRevoked, ...options } = plan;
  const apply: Handler = (batch, { signal }) => {
    // What a real unit's transaction does: nothing is written once the partition was taken away.
    if (!signal.aborted) store.apply(batch);
    return Promise.resolve();
  };
  return bus.openConsumer({
    positions: store.positions,
    startWhenUnknown: 'low-water',
    batchRecordsMax: 100,
    sessionTimeoutMs: SESSION_TIMEOUT_MS,
    ...options,
    onBatch: (batch, control) => watch.batch(name, batch, () => (handler ?? apply)(batch, control)),
    onAssigned: async (places) => {
      watch.assigned(name, places);
      await onAssigned?.(places);
    },
    onRevoked: async (places, how) => {
      watch.revoking(name, places, how);
      await onRevoked?.(places, how);
      watch.revoked(name, places, how);
    },
  });
}

/** Waits until these members, and nobody else, have so many partitions each. */
export async function settled(watch: GroupWatch, shares: Readonly<Record<string, number>>): Promise<void> {
  await eventually(`a group shared as ${JSON.stringify(shares)}`, () => {
    const members = Object.entries(shares);
    const total = members.reduce((sum, [, share]) => sum + share, 0);
    return (
      watch.shares.reduce((sum, share) => sum + share, 0) === total &&
      members.every(([name, share]) => watch.owned(name).length === share)
    );
  });
}
