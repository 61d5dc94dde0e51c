import { randomBytes } from 'node:crypto';
import kafkajs, { type Consumer, type Kafka, type Producer } from 'kafkajs';
import { asTopicName } from '../src/rails/eb-ref.js';
import { type Bus, type OutgoingRecord, type TopicName } from '../src/substrate/bus/bus.port.js';
import { kafkaBrokers, openKafka } from '../test/support/kafka.js';
import { Arrivals, BATCHES, consumerOf, recordsOf } from './bus.js';
import { type Bench, type BenchResult, measure, measurePair } from './harness.js';

/**
 * The bus on Kafka against kafkajs' own producer, in two ways: one transaction per batch, which is what an append of ours
 * promises (all or nothing, fenced by name), and idempotent sends without a transaction, which promise neither. The goal
 * is set for the former, which does the same; the latter shows what the promise costs.
 * One partition, one batch in flight, acks from all replicas, the same records.
 */
const RATIO_GOAL = 1.3;

export const bench: Bench = async (note) => {
  const brokers = kafkaBrokers();
  const bus = await openKafka();
  const kafka = new kafkajs.Kafka({
    brokers,
    clientId: 'bench-bare',
    logLevel: kafkajs.logLevel.NOTHING,
    retry: { initialRetryTime: 5, maxRetryTime: 500, retries: 4 },
  });
  note('Kafka at the given brokers, records of 1,000 bytes, one partition, one batch in flight, acks -1');
  const results: BenchResult[] = [];
  for (const transactional of [true, false]) {
    for (const batch of BATCHES) results.push(await appends(bus, kafka, batch, transactional));
  }
  for (const batch of BATCHES) results.push(await appendsToConsumer(bus, kafka, batch));
  results.push(await together(bus));
  await bus.close();
  return results;
};

type Batch = (typeof BATCHES)[number];

async function freshTopic(bus: Bus): Promise<TopicName> {
  const topic = asTopicName(`bench.${randomBytes(6).toString('hex')}`);
  await bus.ensureTopics([{ topic, partitions: 1, recordBytesMax: 1_000_000, retentionMs: 3_600_000 }]);
  return topic;
}

async function bareProducer(kafka: Kafka, transactionalId?: string): Promise<Producer> {
  const producer = kafka.producer({
    idempotent: true,
    maxInFlightRequests: 1,
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
    ...(transactionalId === undefined ? {} : { transactionalId }),
  });
  await producer.connect();
  return producer;
}

function bareMessages(records: readonly OutgoingRecord[]) {
  return records.map(({ key, value, headers }) => ({ key, value: Buffer.from(value), headers, partition: 0 }));
}

async function appends(bus: Bus, kafka: Kafka, { size, runs }: Batch, transactional: boolean): Promise<BenchResult> {
  const topic = await freshTopic(bus);
  const producer = await bus.openProducer({ name: topic });
  const bare = await bareProducer(kafka, transactional ? `bare-${topic}` : undefined);
  const records = recordsOf(size);
  const messages = bareMessages(records);
  const result = await measurePair({
    name: `append, batch ${size}, against kafkajs ${transactional ? 'in a transaction' : 'idempotent, no transaction'}`,
    ours: () => producer.append([{ topic, partition: 0, records }]),
    bare: async () => {
      if (!transactional) return bare.send({ topic, messages, acks: -1 });
      const transaction = await bare.transaction();
      await transaction.send({ topic, messages, acks: -1 });
      return transaction.commit();
    },
    runs,
    warmups: 30,
    ...(size === 100 && transactional ? { ratioGoal: RATIO_GOAL } : {}),
  });
  await bare.disconnect();
  await producer.close();
  return result;
}

/** From the call of the append until the consumer has the batch in its hands; bare: idempotent, no transaction. */
async function appendsToConsumer(bus: Bus, kafka: Kafka, { size, runs }: Batch): Promise<BenchResult> {
  const [topic, bareTopic] = [await freshTopic(bus), await freshTopic(bus)];
  const producer = await bus.openProducer({ name: topic });
  const arrivals = new Arrivals();
  const consumer = consumerOf(bus, topic, arrivals);
  await consumer.start();
  const bare = await bareProducer(kafka);
  const bareArrivals = new Arrivals();
  const bareConsumer = await consuming(kafka, bareTopic, bareArrivals);
  const records = recordsOf(size);
  const messages = bareMessages(records);
  const result = await measurePair({
    name: `append to consumer, batch ${size}, against kafkajs idempotent, no transaction`,
    ours: () => {
      const arrived = arrivals.after(size);
      return Promise.all([producer.append([{ topic, partition: 0, records }]), arrived]);
    },
    bare: () => {
      const arrived = bareArrivals.after(size);
      return Promise.all([bare.send({ topic: bareTopic, messages, acks: -1 }), arrived]);
    },
    runs,
    warmups: 30,
  });
  await bareConsumer.disconnect();
  await bare.disconnect();
  await consumer.stop();
  await producer.close();
  return result;
}

async function consuming(kafka: Kafka, topic: TopicName, arrivals: Arrivals): Promise<Consumer> {
  const consumer = kafka.consumer({ groupId: `bare-${topic}`, maxWaitTimeInMs: 100, minBytes: 1 });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  const joined = new Promise((resolve) => consumer.on(consumer.events.GROUP_JOIN, resolve));
  await consumer.run({
    autoCommit: false,
    eachBatch: ({ batch }) => {
      arrivals.add(batch.messages.length);
      return Promise.resolve();
    },
  });
  await joined;
  return consumer;
}

/** What waits while a transaction is under way shares the next one: 64 callers with one record each. */
async function together(bus: Bus): Promise<BenchResult> {
  const topic = await freshTopic(bus);
  const producer = await bus.openProducer({ name: topic });
  const records = recordsOf(1);
  const result = await measure({
    name: '64 appends of one record at once, through one producer',
    run: () => Promise.all(Array.from({ length: 64 }, () => producer.append([{ topic, partition: 0, records }]))),
    runs: 100,
    warmups: 20,
  });
  await producer.close();
  return result;
}
