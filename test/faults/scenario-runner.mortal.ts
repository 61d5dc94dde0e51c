import { Bus, type BusProducer, type TransactionalAppend } from '../../src/substrate/bus/bus.port.js';
import {
  Database,
  type Rows,
  type Session,
  type Statement,
  type Transaction,
  type TransactionOptions,
} from '../../src/substrate/database/database.port.js';
import { Objects } from '../../src/substrate/objects/objects.port.js';
import type { Ground } from '../contract/scenario-runner.kit.js';

/** As a process that was killed: nothing that it begins from then on happens any more. */
export class Death extends Error {}

/**
 * Dies at a chosen one of its writes: before it (nothing was written) or after it (it was, but nobody learned of it). Writes are
 * puts, transactions and appends, in the order in which they come.
 */
export class Mortal {
  writes = 0;
  readonly log: string[] = [];
  dead = false;

  constructor(
    private readonly at: number,
    private readonly when: 'before' | 'after',
    /** Hears of each write before it begins. */
    private readonly announce: (what: string) => void = () => undefined,
  ) {}

  async write<Result>(what: string, work: () => Promise<Result>): Promise<Result> {
    this.breathe();
    this.writes += 1;
    this.log.push(what);
    this.announce(what);
    const mine = this.writes === this.at;
    if (mine && this.when === 'before') this.die(what);
    const result = await work();
    if (mine) this.die(what);
    this.breathe();
    return result;
  }

  breathe(): void {
    if (this.dead) throw new Death('the process is dead');
  }

  private die(what: string): never {
    this.dead = true;
    throw new Death(`killed ${this.when} ${what}`);
  }

  /** The ground as this process sees it. `alone` takes away that bus and database are one. */
  stand({ database, objects, bus }: Ground, alone: boolean): Ground {
    return {
      database: new MortalDatabase(this, database),
      objects: new MortalObjects(this, objects),
      bus: new MortalBus(this, bus, alone),
    };
  }
}

class MortalDatabase extends Database {
  readonly schema = this.inner.schema;

  constructor(
    private readonly mortal: Mortal,
    private readonly inner: Database,
  ) {
    super();
  }

  async query<Row>(statement: string | Statement, values?: readonly unknown[]): Promise<Rows<Row>> {
    this.mortal.breathe();
    const rows = await this.inner.query<Row>(statement, values);
    this.mortal.breathe();
    return rows;
  }

  async transaction<Result>(
    work: (transaction: Transaction) => Promise<Result>,
    options?: TransactionOptions,
  ): Promise<Result> {
    return await this.mortal.write('a transaction', () => this.inner.transaction(work, options));
  }

  async session(): Promise<Session> {
    return await this.inner.session();
  }
}

class MortalObjects extends Objects {
  readonly kind = 'mortal';

  constructor(
    private readonly mortal: Mortal,
    private readonly inner: Objects,
  ) {
    super();
  }

  putIfAbsent: Objects['putIfAbsent'] = (key, body, options) =>
    this.mortal.write(`put ${key.split('/').at(-1) ?? key}`, () => this.inner.putIfAbsent(key, body, options));
  read: Objects['read'] = async (ref, options) => {
    this.mortal.breathe();
    return await this.inner.read(ref, options);
  };
  open: Objects['open'] = (ref) => this.inner.open(ref);
  readRange: Objects['readRange'] = (ref, range) => this.inner.readRange(ref, range);
  head: Objects['head'] = async (key) => {
    this.mortal.breathe();
    return await this.inner.head(key);
  };
  list: Objects['list'] = (prefix, options) => this.inner.list(prefix, options);
  health: Objects['health'] = () => this.inner.health();
  close: Objects['close'] = () => Promise.resolve();
}

class MortalBus extends Bus {
  readonly kind = 'mortal';
  readonly transactional?: TransactionalAppend;

  constructor(
    private readonly mortal: Mortal,
    private readonly inner: Bus,
    alone: boolean,
  ) {
    super();
    const { transactional } = inner;
    if (transactional !== undefined && !alone) {
      this.transactional = {
        appendWithin: (transaction, batch) =>
          mortal.write('an append', () => transactional.appendWithin(transaction, batch)),
        prepareAppend: (batch) => transactional.prepareAppend(batch),
      };
    }
  }

  openProducer: Bus['openProducer'] = async (options): Promise<BusProducer> => {
    this.mortal.breathe();
    const producer = await this.inner.openProducer(options);
    return {
      name: producer.name,
      append: (batch) => this.mortal.write('an append', () => producer.append(batch)),
      close: () => producer.close(),
    };
  };
  ensureTopics: Bus['ensureTopics'] = (specs) => this.inner.ensureTopics(specs);
  partitionsOf: Bus['partitionsOf'] = (topic) => this.inner.partitionsOf(topic);
  marks: Bus['marks'] = (topic) => this.inner.marks(topic);
  offsetsAt: Bus['offsetsAt'] = (topic, appendedAtMs) => this.inner.offsetsAt(topic, appendedAtMs);
  trim: Bus['trim'] = (position) => this.inner.trim(position);
  openReader: Bus['openReader'] = (positions) => this.inner.openReader(positions);
  openConsumer: Bus['openConsumer'] = (options) => this.inner.openConsumer(options);
  health: Bus['health'] = () => this.inner.health();
  close: Bus['close'] = () => Promise.resolve();
}
