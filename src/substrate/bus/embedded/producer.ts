import { isProbityError, ProbityError } from '../../../rails/errors/probity-error.js';
import { type Database } from '../../database/database.port.js';
import { type Appended, type BusProducer, type PartitionAppend } from '../bus.port.js';
import { busFault, repeatableFault } from './faults.js';
import { appendedOf, checkAppend, type CheckedAppend, type LaidPart, layDown } from './laying.js';
import { type TopicCatalog } from './topics.js';

interface Waiting {
  readonly append: CheckedAppend;
  readonly resolve: (appended: readonly Appended[]) => void;
  readonly reject: (fault: unknown) => void;
}

/** What one commit carries at most. Past a few hundred records a commit gains nothing more, and its memory is doubled. */
const COMMIT_RECORDS_MAX = 2_000;
const COMMIT_BYTES_MAX = 8_000_000;

export interface ProducerContext {
  readonly database: Database;
  readonly topics: TopicCatalog;
  /** Told after each commit, before the caller is. */
  readonly onAppended: (parts: readonly LaidPart[]) => void;
  readonly onClosed: (producer: BusProducer) => void;
}

/**
 * One commit in flight at a time; what arrives meanwhile goes into the next one, together. So an append that is alone
 * never waits, and under load the commits grow instead of the queue.
 *
 *     open --append--> open
 *       |--answer lost--> finished: that commit is BUS_APPEND_UNKNOWN, all later calls BUS_PRODUCER_CLOSED
 *       |--successor's epoch found--> fenced: BUS_PRODUCER_FENCED for ever
 *       \--close()--> closed, once what waits has been sent: BUS_PRODUCER_CLOSED
 */
export class EmbeddedProducer implements BusProducer {
  readonly name: string;
  readonly #epoch: number;
  readonly #context: ProducerContext;
  #queue: Waiting[] = [];
  #checking: Promise<unknown> = Promise.resolve();
  #sending: Promise<void> | undefined;
  #ended: (() => ProbityError) | undefined;

  private constructor(name: string, epoch: number, context: ProducerContext) {
    this.name = name;
    this.#epoch = epoch;
    this.#context = context;
  }

  static async open(name: string, context: ProducerContext): Promise<EmbeddedProducer> {
    try {
      const { rows } = await context.database.query<{ epoch: number }>('select open_producer($1) as epoch', [name]);
      return new EmbeddedProducer(name, rows[0]?.epoch ?? 0, context);
    } catch (fault) {
      throw repeatableFault(fault, `the producer ${name} could not be opened`);
    }
  }

  async append(batch: readonly PartitionAppend[]): Promise<readonly Appended[]> {
    if (this.#ended !== undefined) throw this.#ended();
    if (batch.length === 0) return [];
    // Checks run one after the other, too: a first look at a topic takes a query, and must not let a later call overtake.
    const checked = this.#checking.then(() => checkAppend(this.#context.topics, batch));
    const queued = checked.then(
      (append) =>
        new Promise<readonly Appended[]>((resolve, reject) => {
          if (this.#ended !== undefined) reject(this.#ended());
          else this.#enqueue({ append, resolve, reject });
        }),
    );
    this.#checking = checked.catch(() => undefined);
    return await queued;
  }

  async close(): Promise<void> {
    await this.#checking;
    while (this.#sending !== undefined) await this.#sending;
    this.#ended ??= () => new ProbityError('BUS_PRODUCER_CLOSED', `the producer ${this.name} has been closed`);
    this.#context.onClosed(this);
  }

  #enqueue(waiting: Waiting): void {
    this.#queue.push(waiting);
    this.#sending ??= this.#sendAll().finally(() => {
      this.#sending = undefined;
    });
  }

  async #sendAll(): Promise<void> {
    // One turn of the microtask queue, so that appends of the same tick share a commit. It takes no time.
    await Promise.resolve();
    while (this.#queue.length > 0) await this.#send(this.#takeCommit());
  }

  #takeCommit(): Waiting[] {
    let [count, records, bytes] = [0, 0, 0];
    for (const { append } of this.#queue) {
      records += append.recordCount;
      bytes += append.bytes;
      if (count > 0 && (records > COMMIT_RECORDS_MAX || bytes > COMMIT_BYTES_MAX)) break;
      count += 1;
    }
    return this.#queue.splice(0, count);
  }

  async #send(commit: readonly Waiting[]): Promise<void> {
    if (this.#ended !== undefined) {
      const fault = this.#ended();
      commit.forEach(({ reject }) => reject(fault));
      return;
    }
    try {
      const laid = await layDown(
        this.#context.database,
        { name: this.name, epoch: this.#epoch },
        commit.map(({ append }) => append),
      );
      this.#context.onAppended(laid.flat());
      commit.forEach(({ resolve }, index) => resolve(appendedOf(laid[index] ?? [])));
    } catch (fault) {
      const told = busFault(fault, `an append of the producer ${this.name}`);
      this.#end(told);
      commit.forEach(({ reject }) => reject(told));
    }
  }

  #end(fault: unknown): void {
    if (isProbityError(fault, 'BUS_PRODUCER_FENCED'))
      this.#ended = () => new ProbityError('BUS_PRODUCER_FENCED', `the producer ${this.name} has a successor`);
    if (isProbityError(fault, 'BUS_APPEND_UNKNOWN'))
      this.#ended = () =>
        new ProbityError(
          'BUS_PRODUCER_CLOSED',
          `the producer ${this.name} ended when the answer to an append was lost`,
        );
  }
}
