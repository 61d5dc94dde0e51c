import { ProbityError } from '../../../rails/errors/probity-error.js';
import { type Clock } from '../../clock/clock.port.js';
import {
  type Appended,
  type BusProducer,
  type Offset,
  type OutgoingRecord,
  type PartitionAppend,
} from '../bus.port.js';
import { keyOf } from './kafka.fetcher.js';
import { isTakenOver, Lane, type LanePart } from './kafka.lane.js';
import { cutIntoBatches, encodedBytesMax, recordBytes } from './kafka.log.core.js';
import { busError } from './kafka.persist.js';
import { assertPartition, type KafkaTopics } from './kafka.topics.js';
import { classify } from './kafka.protocol.js';
import { type Wire } from './kafka.wire.js';

export interface ProducerPlan {
  readonly name: string;
  readonly wire: Wire;
  readonly clock: Clock;
  readonly topics: KafkaTopics;
  readonly requestTimeoutMs: number;
  /** How long an append tries before it gives up, and then how long a commit without an answer is asked for. */
  readonly appendTimeoutMs: number;
  readonly onClosed: () => void;
}

interface Call {
  readonly batch: readonly PartitionAppend[];
  readonly resolve: (appended: readonly Appended[]) => void;
  readonly reject: (error: ProbityError) => void;
}

/** What waiting calls may become one transaction: enough to hide the cost of one, small enough to stay one request. */
const TOGETHER_RECORDS_MAX = 4_000;
const TOGETHER_BYTES_MAX = 8 * 1024 * 1024;
const MIB = 1024 * 1024;

/**
 * A named writer: one Kafka transaction per append (or per appends that waited together), one in flight at a time.
 *
 * **Three identities.** Kafka answers a commit before its markers are written, and refuses the same identity's next
 * transaction meanwhile (measured: 3–8 ms of waiting per append). So two identities, the *lanes*, take turns. Then the
 * name needs one owner that both obey: a third identity, the *crown*, that never opens a transaction. Whoever acquired the
 * crown last owns the name. The order is always: crown first, then lanes, then look whether the crown is still ours.
 *
 * - A successor has taken the crown, then the lanes: every lane that its predecessor held is refused from then on.
 * - A predecessor that finds its lane refused looks at the crown before it acquires the lane again, sees that it has lost
 *   it, and is *fenced*. Having looked too early, it sees it when it looks again before the lane's first use. So no
 *   append of it lands after the successor is open, and no successor is ended by a predecessor that recovers.
 * - A lane refused while the crown is ours was timed out by the coordinator (a process that slept): acquired again.
 *
 * **States**: *open* -> (closed | fenced | finished). *finished*: a commit was sent, and neither an answer nor its repetition
 * within `appendTimeoutMs` said what became of it (BUS_APPEND_UNKNOWN). Everything that fails before the commit is sent is
 * certain: nothing was appended, since nobody else ever commits our transaction; the lane is acquired again first.
 */
export class KafkaProducer implements BusProducer {
  readonly name: string;
  readonly #plan: ProducerPlan;
  readonly #crown: Lane;
  readonly #lanes: readonly [Lane, Lane];
  #turn: 0 | 1 = 0;
  #queue: Call[] = [];
  #work: Promise<void> | undefined;
  #wake = new AbortController();
  #end: ProbityError | undefined;

  private constructor(plan: ProducerPlan) {
    this.name = plan.name;
    this.#plan = plan;
    const { wire, clock, requestTimeoutMs, appendTimeoutMs, name } = plan;
    // Longer than an append and its commit may try, so that the coordinator never ends what is still being sent.
    const transactionTimeoutMs = 2 * appendTimeoutMs + requestTimeoutMs;
    const lane = (suffix: string) =>
      new Lane({ wire, clock, requestTimeoutMs, transactionTimeoutMs }, `probity.${name}.${suffix}`);
    this.#crown = lane('crown');
    this.#lanes = [lane('a'), lane('b')];
  }

  /** @throws BUS_UNAVAILABLE; BUS_PRODUCER_FENCED when yet another one of this name was faster */
  static async open(plan: ProducerPlan): Promise<KafkaProducer> {
    const producer = new KafkaProducer(plan);
    const deadlineMs = plan.clock.monotonicMs() + plan.appendTimeoutMs;
    try {
      await producer.#crown.acquire(deadlineMs);
      await Promise.all(producer.#lanes.map((lane) => lane.acquire(deadlineMs)));
      await producer.#assertCrown(deadlineMs);
      return producer;
    } catch (error) {
      await plan.wire.close();
      throw busError(error, `the producer ${plan.name} could not be opened`);
    }
  }

  append(batch: readonly PartitionAppend[]): Promise<readonly Appended[]> {
    if (this.#end !== undefined) return Promise.reject(this.#end);
    if (batch.length === 0) return Promise.resolve([]);
    return new Promise((resolve, reject) => {
      this.#queue.push({ batch, resolve, reject });
      this.#wake.abort();
      this.#work ??= this.#drain();
    });
  }

  async close(): Promise<void> {
    this.#end ??= new ProbityError('BUS_PRODUCER_CLOSED', `the producer ${this.name} is closed`);
    this.#wake.abort();
    await this.#work;
    await this.#plan.wire.close();
    this.#plan.onClosed();
  }

  /** One transaction after the other until nothing waits. Never rejects: each call is told its own fate. */
  async #drain(): Promise<void> {
    for (;;) {
      this.#wake = new AbortController();
      const calls = await this.#next();
      if (calls.length > 0) await this.#serve(calls);
      else if (!(await this.#mend()) && this.#queue.length === 0) {
        // In the same step as the look at the queue: a call that came between the two would wait for ever.
        this.#work = undefined;
        return;
      }
    }
  }

  /**
   * With nothing to do, aborts what a failed append left open, for the readers of its partitions wait until then.
   * True when there may be more to do.
   */
  async #mend(): Promise<boolean> {
    const { clock } = this.#plan;
    const broken = this.#lanes.filter(({ usable }) => !usable);
    if (broken.length === 0 || this.#queue.length > 0 || this.#end !== undefined) return false;
    const deadlineMs = clock.monotonicMs() + 1_000;
    const mended = await Promise.allSettled(broken.map((lane) => this.#reacquire(lane, deadlineMs)));
    if (mended.some(({ status }) => status === 'rejected')) await clock.sleep(1_000, this.#wake.signal);
    return true;
  }

  /** The calls at the head of the queue that are valid and fit into one transaction; invalid ones are answered here. */
  async #next(): Promise<readonly Call[]> {
    const calls: Call[] = [];
    const perPartition = new Map<string, number>();
    let records = 0;
    let bytes = 0;
    for (let call = this.#queue[0]; call !== undefined; call = this.#queue[0]) {
      try {
        const parts = this.#measured(call.batch) ?? (await this.#measuredAfterLookup(call.batch));
        const full = parts.some(
          ({ key, bytes: add, batchBytesMax }) => (perPartition.get(key) ?? 0) + add > batchBytesMax,
        );
        records += parts.reduce((sum, part) => sum + part.count, 0);
        bytes += parts.reduce((sum, part) => sum + part.bytes, 0);
        if (calls.length > 0 && (full || records > TOGETHER_RECORDS_MAX || bytes > TOGETHER_BYTES_MAX)) break;
        for (const { key, bytes: add } of parts) perPartition.set(key, (perPartition.get(key) ?? 0) + add);
        calls.push(call);
      } catch (error) {
        call.reject(busError(error, 'the append could not be checked'));
      }
      this.#queue.shift();
    }
    return calls;
  }

  /** The parts of a batch with their sizes; undefined when a topic is not known yet. @throws what is wrong with them */
  #measured(batch: readonly PartitionAppend[]) {
    const parts: { key: string; count: number; bytes: number; batchBytesMax: number }[] = [];
    for (const { topic, partition, records } of batch) {
      const facts = this.#plan.topics.known(topic);
      if (facts === undefined) return undefined;
      assertPartition(topic, partition, facts.partitions);
      const place = `${topic}/${partition}`;
      if (records.length === 0) throw new ProbityError('VALUE_INVALID', `the part for ${place} has no records`);
      let bytes = 0;
      for (const record of records) {
        const size = recordBytes(record);
        if (size > facts.recordBytesMax) {
          const detail = `a record for ${place} has ${size} bytes, more than ${facts.recordBytesMax}`;
          throw new ProbityError('BUS_RECORD_TOO_LARGE', detail);
        }
        bytes += encodedBytesMax(record);
      }
      parts.push({
        key: keyOf({ topic, partition }),
        count: records.length,
        bytes,
        batchBytesMax: facts.batchBytesMax,
      });
    }
    return parts;
  }

  async #measuredAfterLookup(batch: readonly PartitionAppend[]) {
    await Promise.all([...new Set(batch.map(({ topic }) => topic))].map((topic) => this.#plan.topics.facts(topic)));
    return this.#measured(batch) ?? [];
  }

  async #serve(calls: readonly Call[]): Promise<void> {
    if (this.#end !== undefined && this.#end.code !== 'BUS_PRODUCER_CLOSED') {
      for (const { reject } of calls) reject(this.#end);
      return;
    }
    try {
      const firsts = await this.#transact(calls);
      for (const { batch, resolve } of calls) resolve(answerOf(batch, firsts));
    } catch (raw) {
      const error = busError(raw, 'the append failed');
      if (error.code === 'BUS_PRODUCER_FENCED') this.#end = error;
      if (error.code === 'BUS_APPEND_UNKNOWN') {
        const detail = `the producer ${this.name} is finished: the fate of an earlier append is unknown`;
        this.#end = new ProbityError('BUS_PRODUCER_CLOSED', detail);
      }
      const blameless =
        calls.length > 1 && ['BUS_RECORD_TOO_LARGE', 'BUS_TOPIC_UNKNOWN', 'INTERNAL'].includes(error.code);
      // What the broker refuses in one call must not fail the calls that merely waited beside it.
      if (blameless) for (const call of calls) await this.#serve([call]);
      else for (const { reject } of calls) reject(error);
    }
  }

  /** One transaction, committed. Answers with each partition's first offset. @throws ProbityError */
  async #transact(calls: readonly Call[]): Promise<Map<string, number>> {
    const { clock, appendTimeoutMs } = this.#plan;
    const parts = this.#partsOf(calls);
    const deadlineMs = clock.monotonicMs() + appendTimeoutMs;
    for (let attempt = 1; ; attempt += 1) {
      const lane = this.#lanes[this.#turn];
      this.#turn = this.#turn === 0 ? 1 : 0;
      if (!lane.usable) await this.#reacquire(lane, deadlineMs);
      try {
        const { firsts, contiguous } = await lane.send(parts, deadlineMs);
        if (contiguous) {
          const outcome = await lane.commit(clock.monotonicMs() + appendTimeoutMs);
          if (outcome.kind === 'committed') return new Map(firsts);
          if (outcome.kind === 'unknown') {
            const detail = `the commit was not answered: ${outcome.error.message}`;
            throw new ProbityError('BUS_APPEND_UNKNOWN', detail, { cause: outcome.error });
          }
          throw outcome.error;
        }
        // An append promises consecutive offsets; another writer's batch between two of ours breaks it: write it again.
        if (attempt > 5)
          throw new ProbityError('BUS_UNAVAILABLE', 'other writers kept interleaving with a large append');
      } catch (raw) {
        if (raw instanceof ProbityError) throw raw;
        const error = classify(raw);
        if (!isTakenOver(error)) throw busError(error, 'nothing was appended');
        // Throws BUS_PRODUCER_FENCED when the crown is lost, too; else the lane was timed out and may be used again.
        await this.#reacquire(lane, deadlineMs);
        if (attempt > 2) throw busError(error, 'nothing was appended');
      }
    }
  }

  #partsOf(calls: readonly Call[]): readonly LanePart[] {
    const together = new Map<
      string,
      { topic: string; partition: number; records: OutgoingRecord[]; batchBytesMax: number }
    >();
    for (const { topic, partition, records } of calls.flatMap(({ batch }) => batch)) {
      const key = keyOf({ topic, partition });
      const batchBytesMax = this.#plan.topics.known(topic)?.batchBytesMax ?? MIB;
      const part = together.get(key) ?? { topic, partition, records: [], batchBytesMax };
      for (const record of records) part.records.push(record);
      together.set(key, part);
    }
    return [...together.values()].map(({ topic, partition, records, batchBytesMax }) => ({
      topic,
      partition,
      batches: cutIntoBatches(records, batchBytesMax),
    }));
  }

  async #reacquire(lane: Lane, deadlineMs: number): Promise<void> {
    try {
      await this.#assertCrown(deadlineMs);
      await lane.acquire(deadlineMs);
      await this.#assertCrown(deadlineMs);
    } catch (error) {
      throw busError(error, 'nothing was appended');
    }
  }

  async #assertCrown(deadlineMs: number): Promise<void> {
    if (await this.#crown.stillMine(deadlineMs)) return;
    throw new ProbityError('BUS_PRODUCER_FENCED', `a later producer took over the name ${this.name}`);
  }
}

/** Each part's place: parts of one partition follow each other in the order in which they were given. */
function answerOf(batch: readonly PartitionAppend[], nexts: Map<string, number>): readonly Appended[] {
  return batch.map(({ topic, partition, records }) => {
    const key = keyOf({ topic, partition });
    const firstOffset = nexts.get(key);
    if (firstOffset === undefined) throw new ProbityError('INTERNAL', `${key} was committed without an offset`);
    nexts.set(key, firstOffset + records.length);
    return { topic, partition, firstOffset: firstOffset as Offset, count: records.length };
  });
}
