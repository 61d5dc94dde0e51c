import { advance, type Basis, type BasisRecord, basisRecord, emptyBasis } from '../../rails/basis.js';
import type { Offset, Position, TopicPartition } from '../bus/bus.port.js';

interface Waiter {
  readonly partition: number;
  readonly offset: number;
  readonly wake: () => void;
}

/**
 * How far the memory has got, per partition of the traffic and the control topic. It moves in the same step as the state that it describes, so
 * whoever reads both without awaiting in between has a state and its very basis.
 */
export class Vector {
  readonly #next = new Map<string, Map<number, Offset>>();
  #record: BasisRecord | undefined;
  #basis: Basis;
  #waiters: Waiter[] = [];

  constructor(
    private readonly traffic: string,
    topics: readonly string[],
  ) {
    this.#basis = emptyBasis(topics);
    for (const topic of topics) this.#next.set(topic, new Map());
  }

  nextOf(topic: string, partition: number): Offset | undefined {
    return this.#next.get(topic)?.get(partition);
  }

  positions(): readonly Position[] {
    return [...this.#next].flatMap(([topic, partitions]) =>
      [...partitions].map(([partition, offset]) => ({ topic: topic as Position['topic'], partition, offset })),
    );
  }

  /** Never back: a batch that was delivered before says nothing new. */
  moveTo({ topic, partition }: TopicPartition, next: Offset): void {
    if (next < (this.nextOf(topic, partition) ?? 0)) return;
    this.#next.get(topic)?.set(partition, next);
    this.#basis = advance(this.#basis, [{ topic, partition, nextOffset: next }]);
    this.#record = undefined;
    if (topic !== this.traffic || this.#waiters.length === 0) return;
    const due = this.#waiters.filter((waiter) => waiter.partition === partition && waiter.offset <= next);
    if (due.length === 0) return;
    this.#waiters = this.#waiters.filter((waiter) => !due.includes(waiter));
    for (const { wake } of due) wake();
  }

  /** The basis as it stands in answers; its digest is taken once per movement. */
  record(): BasisRecord {
    this.#record ??= basisRecord(this.#basis);
    return this.#record;
  }

  /** Whether everything before this offset of the traffic partition has been applied. */
  hasReached(partition: number, offset: number): boolean {
    return (this.nextOf(this.traffic, partition) ?? 0) >= offset;
  }

  /** Resolves when it has, or when the signal aborts; nobody polls. */
  async reached(partition: number, offset: number, signal: AbortSignal): Promise<void> {
    if (this.hasReached(partition, offset) || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const waiter: Waiter = { partition, offset, wake: () => resolve() };
      this.#waiters.push(waiter);
      signal.addEventListener(
        'abort',
        () => {
          this.#waiters = this.#waiters.filter((each) => each !== waiter);
          resolve();
        },
        { once: true },
      );
    });
  }
}
