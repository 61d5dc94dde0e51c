import type { ObjectKey, Ref } from '../rails/ref.js';
import { ProbityError } from '../rails/errors/probity-error.js';
import {
  Bus,
  type Appended,
  type BusConsumer,
  type BusProducer,
  type BusReader,
  type ConsumerOptions,
  type PartitionAppend,
  type PartitionMarks,
  type PreparedAppend,
  type Position,
  type ProducerOptions,
  type TopicName,
  type TopicSpec,
  type TransactionalAppend,
} from '../substrate/bus/bus.port.js';
import type { Transaction } from '../substrate/database/database.port.js';
import type { Health } from '../substrate/health.js';
import {
  type ByteRange,
  type ObjectListing,
  Objects,
  type PutOptions,
  type PutResult,
} from '../substrate/objects/objects.port.js';
import type { NamedUnit } from './unit-table.js';

/**
 * The substrates as one unit may use them: everybody reads, only the owner writes (the authority table of the laws).
 * A unit that writes elsewhere is a defect of the program, found at its first try.
 */

function refuse(unit: NamedUnit, what: string, owned: readonly string[]): never {
  const list = owned.length === 0 ? 'none' : owned.join(', ');
  throw new ProbityError(
    'INTERNAL',
    `unit ${unit.role} may not write ${what}; its row in the unit table names ${list}`,
  );
}

export class UnitBus extends Bus {
  readonly kind: string;
  readonly transactional?: TransactionalAppend;

  constructor(
    private readonly bus: Bus,
    private readonly unit: NamedUnit,
  ) {
    super();
    this.kind = bus.kind;
    const { transactional } = bus;
    if (transactional !== undefined) {
      this.transactional = {
        appendWithin: async (
          transaction: Transaction,
          batch: readonly PartitionAppend[],
        ): Promise<readonly Appended[]> => {
          this.#demandOwn(batch);
          return await transactional.appendWithin(transaction, batch);
        },
        prepareAppend: async (batch: readonly PartitionAppend[]): Promise<PreparedAppend> => {
          this.#demandOwn(batch);
          return await transactional.prepareAppend(batch);
        },
      };
    }
  }

  /** Producers are named after their unit, so that no unit can fence another's. */
  async openProducer(options: ProducerOptions): Promise<BusProducer> {
    const producer = await this.bus.openProducer({ ...options, name: `${this.unit.role}.${options.name}` });
    return {
      name: producer.name,
      append: async (batch) => {
        this.#demandOwn(batch);
        return await producer.append(batch);
      },
      close: () => producer.close(),
    };
  }

  #demandOwn(batch: readonly PartitionAppend[]): void {
    for (const { topic } of batch) {
      if (!this.unit.produces.includes(topic)) refuse(this.unit, `topic ${topic}`, this.unit.produces);
    }
  }

  async ensureTopics(specs: readonly TopicSpec[]): Promise<void> {
    await this.bus.ensureTopics(specs);
  }

  async partitionsOf(topic: TopicName): Promise<number> {
    return await this.bus.partitionsOf(topic);
  }

  async marks(topic: TopicName): Promise<readonly PartitionMarks[]> {
    return await this.bus.marks(topic);
  }

  async offsetsAt(topic: TopicName, appendedAtMs: number): Promise<readonly Position[]> {
    return await this.bus.offsetsAt(topic, appendedAtMs);
  }

  /** Retention is an operation with a receipt (law RTA-7): of the one unit whose row names the topic, and of nobody else. */
  async trim(position: Position): Promise<void> {
    const trims = this.unit.trims ?? [];
    if (!trims.includes(position.topic))
      throw new ProbityError(
        'INTERNAL',
        `unit ${this.unit.role} may not trim ${position.topic}: its row in the unit table does not name it`,
      );
    await this.bus.trim(position);
  }

  async openReader(positions: readonly Position[]): Promise<BusReader> {
    return await this.bus.openReader(positions);
  }

  openConsumer(options: ConsumerOptions): BusConsumer {
    return this.bus.openConsumer(options);
  }

  async health(): Promise<Health> {
    return await this.bus.health();
  }

  /** The application closes the bus; a unit only stops using it. */
  async close(): Promise<void> {
    await Promise.resolve();
  }
}

export class UnitObjects extends Objects {
  readonly kind: string;

  constructor(
    private readonly objects: Objects,
    private readonly unit: NamedUnit,
  ) {
    super();
    this.kind = objects.kind;
  }

  async putIfAbsent(
    key: ObjectKey,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    options: PutOptions,
  ): Promise<PutResult> {
    if (!this.unit.prefixes.some((prefix) => key.startsWith(prefix)))
      refuse(this.unit, `object ${key}`, this.unit.prefixes);
    return await this.objects.putIfAbsent(key, body, options);
  }

  async read(ref: Ref, options?: { readonly bytesMax?: number }): Promise<Buffer> {
    return await this.objects.read(ref, options);
  }

  open(ref: Ref): AsyncIterable<Uint8Array> {
    return this.objects.open(ref);
  }

  async readRange(ref: Ref, range: ByteRange): Promise<Buffer> {
    return await this.objects.readRange(ref, range);
  }

  async head(key: ObjectKey): Promise<Ref | null> {
    return await this.objects.head(key);
  }

  async list(
    prefix: string,
    options?: { readonly after?: ObjectKey; readonly limit?: number },
  ): Promise<ObjectListing> {
    return await this.objects.list(prefix, options);
  }

  async health(): Promise<Health> {
    return await this.objects.health();
  }

  async close(): Promise<void> {
    await Promise.resolve();
  }
}
