import { type Clock } from '../../clock/clock.port.js';
import { type Offset, type OutgoingRecord } from '../bus.port.js';
import { offsetOf, type Place } from './kafka.log.core.js';
import { keyOf } from './kafka.fetcher.js';
import { passes, persist } from './kafka.persist.js';
import { classify, isRefusal, type ProducerIdentity, WireError, type WireMessage } from './kafka.protocol.js';
import { type Wire } from './kafka.wire.js';

/** A part of a transaction: what goes to one partition, cut into batches that the broker takes. */
export interface LanePart extends Place {
  readonly batches: readonly (readonly OutgoingRecord[])[];
}

export interface LanePlan {
  readonly wire: Wire;
  readonly clock: Clock;
  readonly requestTimeoutMs: number;
  /** After this the coordinator aborts what a dead writer left open; until then readers of its partitions wait. */
  readonly transactionTimeoutMs: number;
}

/** What the coordinator says to a writer whose identity was taken over (or timed out, which looks the same). */
export function isTakenOver(error: unknown): boolean {
  return isRefusal(error, 'INVALID_PRODUCER_EPOCH', 'PRODUCER_FENCED', 'INVALID_PRODUCER_ID_MAPPING');
}

export type CommitOutcome =
  | { readonly kind: 'committed' }
  /** Certain: no commit of this transaction was ever acted upon, and none will be. */
  | { readonly kind: 'not-committed'; readonly error: WireError }
  | { readonly kind: 'unknown'; readonly error: WireError };

/**
 * One transactional identity of Kafka and its sequence numbers.
 *
 * *usable* (no transaction is open) -> `send` -> *open* -> `commit` -> *usable*. Every failure leaves it *not usable*, and the
 * only way back is `acquire`, which aborts what is open and raises the epoch. That is the whole defence against the worst
 * trap of this protocol: a writer that goes on after a failure with a guessed sequence number has its next batch dropped as
 * a duplicate of the failed one, and is told that all is well. Here a number is never used twice for different
 * records: within an epoch it only goes up, and a repeated request carries the same records under the same number,
 * which the broker stores once.
 */
export class Lane {
  readonly #plan: LanePlan;
  readonly #transactionalId: string;
  readonly #sequences = new Map<string, number>();
  #identity: ProducerIdentity | undefined;
  #coordinator: number | undefined;
  #usable = false;

  constructor(plan: LanePlan, transactionalId: string) {
    this.#plan = plan;
    this.#transactionalId = transactionalId;
  }

  get usable(): boolean {
    return this.#usable;
  }

  /** Takes the identity over: earlier holders are refused from now on, and what they left open is settled. */
  async acquire(deadlineMs: number): Promise<void> {
    const { transactionTimeoutMs: transactionTimeout } = this.#plan;
    const transactionalId = this.#transactionalId;
    this.#usable = false;
    // The coordinator answers CONCURRENT_TRANSACTIONS until the markers of the earlier holder's last transaction stand.
    const answer = await this.#asked(deadlineMs, async (node) =>
      this.#plan.wire.ask(node, (broker) => broker.initProducerId({ transactionalId, transactionTimeout })),
    );
    this.#identity = { transactionalId, producerId: answer.producerId, producerEpoch: answer.producerEpoch };
    this.#sequences.clear();
    this.#usable = true;
  }

  /** Whether nobody has acquired this identity since we did. Only for a lane that never opens a transaction. */
  async stillMine(deadlineMs: number): Promise<boolean> {
    const identity = this.#mine();
    try {
      // Ending what was never begun is refused either way; by the reason we learn whose the identity is.
      await this.#asked(deadlineMs, (node) =>
        this.#plan.wire.ask(node, (broker) => broker.endTxn({ ...identity, transactionResult: false })),
      );
      return true;
    } catch (error) {
      if (isRefusal(error, 'INVALID_TXN_STATE')) return true;
      if (isTakenOver(error)) return false;
      throw error;
    }
  }

  /**
   * Opens a transaction and writes the parts into it; nobody sees them yet. Answers with each partition's first offset.
   * Where another writer's batch slipped between two batches of one part, `contiguous` is false.
   */
  async send(
    parts: readonly LanePart[],
    deadlineMs: number,
  ): Promise<{ firsts: ReadonlyMap<string, Offset>; contiguous: boolean }> {
    const identity = this.#mine();
    this.#usable = false;
    const topics = [...new Set(parts.map(({ topic }) => topic))].map((topic) => ({
      topic,
      partitions: parts.filter((part) => part.topic === topic).map(({ partition }) => partition),
    }));
    await this.#asked(deadlineMs, (node) =>
      this.#plan.wire.ask(node, (broker) => broker.addPartitionsToTxn({ ...identity, topics })),
    );
    const firsts = new Map<string, Offset>();
    const nexts = new Map<string, number>();
    let contiguous = true;
    const rounds = Math.max(...parts.map(({ batches }) => batches.length));
    for (let round = 0; round < rounds; round += 1) {
      const batches = parts.flatMap(({ topic, partition, batches: all }) => {
        const records = all[round];
        return records === undefined ? [] : [{ topic, partition, records }];
      });
      for (const [key, { first, count }] of await this.#produce(identity, batches, deadlineMs)) {
        if (!firsts.has(key)) firsts.set(key, first);
        else if (nexts.get(key) !== first) contiguous = false;
        nexts.set(key, first + count);
      }
    }
    return { firsts, contiguous };
  }

  /**
   * Commits what `send` wrote. The request may be repeated: for one identity and epoch, a commit of a committed
   * transaction is answered with success. So an answer that got lost is asked for again, and only a line that stays
   * dead, or an identity that was taken over in between, leaves the outcome unknown.
   */
  async commit(deadlineMs: number): Promise<CommitOutcome> {
    const identity = this.#mine();
    const { wire, clock } = this.#plan;
    let inDoubt = false;
    for (let waitMs = 5; ; waitMs = Math.min(waitMs * 2, 250)) {
      try {
        this.#coordinator ??= await wire.coordinatorOfTransactions(this.#transactionalId);
        await wire.ask(this.#coordinator, (broker) => broker.endTxn({ ...identity, transactionResult: true }));
        this.#usable = true;
        return { kind: 'committed' };
      } catch (raw) {
        const error = classify(raw);
        this.#coordinator = undefined;
        // Being in the middle of ending it means that one of our requests arrived.
        if (error.kind !== 'refused' || error.type === 'CONCURRENT_TRANSACTIONS') inDoubt = true;
        if (!passes(error) || clock.monotonicMs() + waitMs > deadlineMs) {
          return { kind: inDoubt ? 'unknown' : 'not-committed', error };
        }
        await clock.sleep(waitMs);
        await wire.refresh().catch(() => undefined);
      }
    }
  }

  async #produce(
    identity: ProducerIdentity,
    batches: readonly (Place & { readonly records: readonly OutgoingRecord[] })[],
    deadlineMs: number,
  ): Promise<ReadonlyMap<string, { readonly first: Offset; readonly count: number }>> {
    const { wire, clock } = this.#plan;
    const numbered = batches.map(({ topic, partition, records }) => {
      const key = keyOf({ topic, partition });
      const firstSequence = this.#sequences.get(key) ?? 0;
      // Kept even when the request fails: the number is spent. It wraps at 2^31 as the protocol says.
      this.#sequences.set(key, (firstSequence + records.length) % 2 ** 31);
      return { key, topic, partition, count: records.length, firstSequence, messages: records.map(messageOf) };
    });
    const answers = new Map<string, { readonly first: Offset; readonly count: number }>();
    // Repeated as a whole where an answer is missing: same records, same numbers, so what stands already is not doubled.
    await persist({ wire, clock, deadlineMs, also: ['UNKNOWN_TOPIC_OR_PARTITION'] }, async () => {
      const byNode = await this.#byLeader(numbered.filter(({ key }) => !answers.has(key)));
      await Promise.all(
        [...byNode].map(async ([node, parts]) => {
          const topicData = [...new Set(parts.map(({ topic }) => topic))].map((topic) => ({
            topic,
            partitions: parts.filter((part) => part.topic === topic),
          }));
          const timeout = this.#plan.requestTimeoutMs;
          const response = await wire.ask(node, (broker) =>
            broker.produce({ ...identity, acks: -1, timeout, topicData }),
          );
          const found = new Map(
            response.topics.flatMap(({ topicName: topic, partitions }) =>
              partitions.map(({ partition, baseOffset }) => [keyOf({ topic, partition }), baseOffset] as const),
            ),
          );
          for (const { key, count } of parts) {
            const base = found.get(key);
            // An answer that leaves a partition out says nothing about it; taking it for a success loses its records.
            if (base === undefined) throw new WireError('unreachable', 'NO_ANSWER', `${key} was not answered`);
            answers.set(key, { first: offsetOf(base), count });
          }
        }),
      );
    });
    return answers;
  }

  async #byLeader<Part extends Place>(parts: readonly Part[]): Promise<ReadonlyMap<number, readonly Part[]>> {
    const { wire } = this.#plan;
    const leaders = new Map<string, ReadonlyMap<number, number>>();
    for (const topic of new Set(parts.map((part) => part.topic))) leaders.set(topic, await wire.leaders(topic));
    const byNode = new Map<number, Part[]>();
    for (const part of parts) {
      const node = leaders.get(part.topic)?.get(part.partition);
      if (node === undefined) {
        throw new WireError('refused', 'LEADER_NOT_AVAILABLE', `${part.topic}/${part.partition} has no leader`);
      }
      byNode.set(node, [...(byNode.get(node) ?? []), part]);
    }
    return byNode;
  }

  /** A request to this identity's coordinator that may be repeated. */
  #asked<Answer>(deadlineMs: number, request: (node: number) => Promise<Answer>): Promise<Answer> {
    const { wire, clock } = this.#plan;
    return persist({ wire, clock, deadlineMs }, async () => {
      this.#coordinator ??= await wire.coordinatorOfTransactions(this.#transactionalId);
      try {
        return await request(this.#coordinator);
      } catch (error) {
        if (!isRefusal(error, 'CONCURRENT_TRANSACTIONS')) this.#coordinator = undefined;
        throw error;
      }
    });
  }

  #mine(): ProducerIdentity {
    if (this.#identity === undefined)
      throw new WireError('defect', 'NOT_ACQUIRED', 'the identity was not acquired yet');
    return this.#identity;
  }
}

function messageOf({ key, value, headers }: OutgoingRecord): WireMessage {
  return { key, value: Buffer.from(value.buffer, value.byteOffset, value.byteLength), headers };
}
