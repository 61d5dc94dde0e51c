import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { type Bus, type BusConsumer, type OutgoingRecord, type TopicName } from '../src/substrate/bus/bus.port.js';
import { asGroupName } from '../src/substrate/bus/bus.names.js';
import { asTopicName } from '../src/rails/eb-ref.js';
import { EmbeddedBus } from '../src/substrate/bus/embedded.bus.js';
import { SystemClock } from '../src/substrate/clock/system.clock.js';
import { openEmbeddedServer } from '../src/substrate/database/embedded/embedded.server.js';
import { type LaunchedServer } from '../src/substrate/database/embedded/launcher.js';
import { schemaName } from '../src/substrate/database/roles.js';
import { type Bench, type BenchResult, measurePair } from './harness.js';

/**
 * The embedded bus against the bare driver: the same bytes into a table of the same columns and key, one statement, one
 * commit, in the same database and the same minute.
 */
export const BATCHES = [
  { size: 1, runs: 400 },
  { size: 100, runs: 200 },
  { size: 500, runs: 80 },
] as const;
const RECORD_BYTES = 1_000;
const RATIO_GOAL = 1.3;

export const bench: Bench = async (note) => {
  const root = await mkdtemp(join(tmpdir(), 'probity-bench-'));
  // Root's servers run as another user, who has to get in.
  await chmod(root, 0o755);
  const clock = new SystemClock();
  const server = await openEmbeddedServer({ dataFolder: join(root, 'postgres'), clock, component: 'bench' });
  try {
    const schema = schemaName('bus');
    await server.migrate([schema]);
    const bus = await EmbeddedBus.open({ database: server.forSchema(schema), clock });
    const bare = await BareTable.open(server.launched);
    note(
      `embedded bus and bare driver on one ${await bare.describe()}; records of ${RECORD_BYTES} bytes, one partition`,
    );
    const results: BenchResult[] = [];
    for (const batch of BATCHES) results.push(await appends(bus, bare, batch));
    for (const batch of BATCHES) results.push(await appendsToConsumer(bus, bare, batch));
    await bare.close();
    await bus.close();
    return results;
  } finally {
    await server.close(5_000);
    await rm(root, { recursive: true, force: true });
  }
};

async function appends(bus: Bus, bare: BareTable, { size, runs }: (typeof BATCHES)[number]): Promise<BenchResult> {
  const topic = asTopicName(`bench.append.${size}`);
  await bus.ensureTopics([{ topic, partitions: 1, recordBytesMax: 1_000_000, retentionMs: null }]);
  const producer = await bus.openProducer({ name: `bench.${size}` });
  const records = recordsOf(size);
  const result = await measurePair({
    name: `append, batch ${size}`,
    ours: () => producer.append([{ topic, partition: 0, records }]),
    bare: () => bare.insert(records),
    runs,
    warmups: 30,
    ...(size === 100 ? { ratioGoal: RATIO_GOAL } : {}),
  });
  await producer.close();
  return result;
}

/** From the call of the append until the consumer has the batch in its hands. */
async function appendsToConsumer(
  bus: Bus,
  bare: BareTable,
  { size, runs }: (typeof BATCHES)[number],
): Promise<BenchResult> {
  const topic = asTopicName(`bench.through.${size}`);
  await bus.ensureTopics([{ topic, partitions: 1, recordBytesMax: 1_000_000, retentionMs: null }]);
  const producer = await bus.openProducer({ name: `bench.through.${size}` });
  const arrivals = new Arrivals();
  const consumer = consumerOf(bus, topic, arrivals);
  await consumer.start();
  await positioned(consumer);
  const records = recordsOf(size);
  const bareArrivals = await bare.listen();
  const result = await measurePair({
    name: `append to consumer, batch ${size}`,
    ours: () => {
      const arrived = arrivals.after(size);
      return Promise.all([producer.append([{ topic, partition: 0, records }]), arrived]);
    },
    bare: () => {
      const arrived = bareArrivals.after(size);
      return Promise.all([bare.insert(records).then(() => bare.notify()), arrived]);
    },
    runs,
    warmups: 30,
  });
  await consumer.stop();
  await producer.close();
  return result;
}

/** Begins at the high-water mark of now: what is appended before it has its position would never arrive. */
export async function positioned(consumer: BusConsumer): Promise<void> {
  while ((await consumer.status()).length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
}

export function consumerOf(bus: Bus, topic: TopicName, arrivals: Arrivals) {
  return bus.openConsumer({
    group: asGroupName(topic),
    topics: [topic],
    positions: () => Promise.resolve([]),
    startWhenUnknown: 'high-water',
    batchRecordsMax: 1_000,
    onBatch: (batch) => {
      arrivals.add(batch.records.length);
      return Promise.resolve();
    },
  });
}

export function recordsOf(size: number): OutgoingRecord[] {
  return Array.from({ length: size }, (_, index) => ({
    key: `account-${index}`,
    value: Buffer.alloc(RECORD_BYTES, `${index} `),
    headers: { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' },
  }));
}

/** Counts what arrives, and says when so many more have come. */
export class Arrivals {
  #count = 0;
  #waiting: { readonly count: number; readonly resolve: () => void } | undefined;

  after(more: number): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting = { count: this.#count + more, resolve };
    });
  }

  add(count: number): void {
    this.#count += count;
    if (this.#waiting !== undefined && this.#count >= this.#waiting.count) this.#waiting.resolve();
  }
}

/** What one writes with the driver alone. */
class BareTable {
  #next = 0;
  #listened = 0;
  readonly #texts = new Map<number, string>();

  private constructor(
    private readonly writer: pg.Client,
    private readonly reader: pg.Client,
  ) {}

  static async open({ address, admin }: LaunchedServer): Promise<BareTable> {
    const connect = async () => {
      const client = new pg.Client({ host: address.host, port: address.port, database: address.database, ...admin });
      await client.connect();
      return client;
    };
    const table = new BareTable(await connect(), await connect());
    await table.writer.query(
      `create table public.bare (topic_id integer, partition integer, record_offset bigint, appended_at_ms bigint,
         key bytea, headers bytea, value bytea not null, primary key (topic_id, partition, record_offset))`,
    );
    await table.writer.query('alter table public.bare alter column value set storage external');
    return table;
  }

  async describe(): Promise<string> {
    const { rows } = await this.writer.query<{ text: string }>(
      `select format('Postgres %s, fsync %s, synchronous_commit %s', current_setting('server_version'),
         current_setting('fsync'), current_setting('synchronous_commit')) as text`,
    );
    return rows[0]?.text ?? 'Postgres';
  }

  /** A plain multi-row insert, prepared once per size, committed by itself. */
  async insert(records: readonly OutgoingRecord[]): Promise<void> {
    const values = records.flatMap(({ key, headers, value }) => [
      1,
      0,
      this.#next++,
      Date.now(),
      Buffer.from(key ?? ''),
      Buffer.from(JSON.stringify(headers)),
      value,
    ]);
    await this.writer.query({ name: `bare_${records.length}`, text: this.#text(records.length), values });
  }

  async notify(): Promise<void> {
    await this.writer.query(`select pg_notify('bare', '')`);
  }

  /** A listener that reads what is new whenever it is told. */
  async listen(): Promise<Arrivals> {
    const arrivals = new Arrivals();
    this.#listened = this.#next;
    this.reader.removeAllListeners('notification');
    this.reader.on('notification', () => {
      void this.#read(arrivals);
    });
    await this.reader.query('listen bare');
    return arrivals;
  }

  async close(): Promise<void> {
    await this.writer.end();
    await this.reader.end();
  }

  async #read(arrivals: Arrivals): Promise<void> {
    const { rows } = await this.reader.query<{ record_offset: string }>({
      name: 'bare_read',
      text: `select record_offset, appended_at_ms, key, headers, value from public.bare
             where topic_id = 1 and partition = 0 and record_offset >= $1 order by record_offset limit 1000`,
      values: [this.#listened],
    });
    this.#listened += rows.length;
    arrivals.add(rows.length);
  }

  #text(size: number): string {
    const known = this.#texts.get(size);
    if (known !== undefined) return known;
    const rows = Array.from(
      { length: size },
      (_, row) => `(${[1, 2, 3, 4, 5, 6, 7].map((at) => `$${row * 7 + at}`).join(', ')})`,
    );
    const text = `insert into public.bare values ${rows.join(', ')}`;
    this.#texts.set(size, text);
    return text;
  }
}
