import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import kafkajs, { type Admin, type Kafka } from 'kafkajs';
import { asGroupName } from '../../src/substrate/bus/bus.names.js';
import { type Bus, type OutgoingRecord } from '../../src/substrate/bus/bus.port.js';
import {
  append,
  at,
  eventually,
  freshNames,
  markOf,
  pollCount,
  readPartition,
  record,
  records,
  refusal,
  spec,
  texts,
  within,
} from '../../src/substrate/bus/contract/kit.js';
import { AppliedStore, GroupWatch, member } from '../../src/substrate/bus/contract/members.js';
import { type KafkaBus } from '../../src/substrate/bus/kafka.bus.js';
import { type LogFields, type Logger, type Telemetry } from '../../src/substrate/telemetry/telemetry.port.js';
import { kafkaBrokers, openKafka } from '../support/kafka.js';

/** What only Kafka has, seen with another client's eyes. */
describe('the bus on Kafka', () => {
  const names = freshNames();
  let bus: KafkaBus;
  let outside: Kafka;
  let admin: Admin;

  beforeAll(async () => {
    bus = await openKafka();
    outside = new kafkajs.Kafka({ brokers: kafkaBrokers(), clientId: 'outside', logLevel: kafkajs.logLevel.NOTHING });
    admin = outside.admin();
    await admin.connect();
  });
  afterAll(async () => {
    await admin.disconnect();
    await bus.close();
  });
  afterEach(() => {
    jest.restoreAllMocks();
  });

  it('makes topics that keep the broker’s time, their retention and their limit', async () => {
    const topic = names.topic();
    await bus.ensureTopics([spec(topic, 1, { recordBytesMax: 70_000, retentionMs: 3_600_000 })]);
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic }],
    });
    const found = new Map(resources[0]?.configEntries.map(({ configName, configValue }) => [configName, configValue]));
    expect(found.get('message.timestamp.type')).toBe('LogAppendTime');
    expect(found.get('retention.ms')).toBe('3600000');
    expect(found.get('cleanup.policy')).toBe('delete');
    expect(found.get('max.message.bytes')).toBe(String(70_000 + 4 * 1024 * 1024));
  });

  it('refuses a topic that takes its writers’ time, since retention would go by what events claim', async () => {
    const topic = names.topic();
    const max = String(1_000_000 + 4 * 1024 * 1024);
    await admin.createTopics({
      topics: [
        {
          topic,
          numPartitions: 1,
          configEntries: [
            { name: 'max.message.bytes', value: max },
            { name: 'retention.ms', value: '-1' },
          ],
        },
      ],
    });
    const { detail } = await refusal(bus.ensureTopics([spec(topic)]), 'BUS_TOPIC_MISMATCH');
    expect(detail).toContain('LogAppendTime');
  });

  it('never shows an aborted record, nor one of a transaction that is still open', async () => {
    const topic = names.topic();
    await bus.ensureTopics([spec(topic)]);
    await append(bus, topic, records('before', 2));
    const foreign = outside.producer({ transactionalId: names.producer(), maxInFlightRequests: 1, idempotent: true });
    await foreign.connect();
    const aborted = await foreign.transaction();
    await aborted.send({ topic, messages: [{ value: 'aborted-0', partition: 0 }] });
    await aborted.abort();
    const open = await foreign.transaction();
    await open.send({ topic, messages: [{ value: 'open-0', partition: 0 }] });
    await append(bus, topic, records('after', 1));
    expect(texts(await readPartition(bus, topic))).toEqual(['before-0', 'before-1']);
    const reader = await bus.openReader([at(topic, 0, 0)]);
    expect(texts(await pollCount(reader, 2))).toEqual(['before-0', 'before-1']);
    expect(await reader.poll({ recordsMax: 10, waitMs: 300 })).toEqual([]);
    await open.commit();
    expect(texts(await pollCount(reader, 2))).toEqual(['open-0', 'after-0']);
    await reader.close();
    await foreign.disconnect();
  });

  it('counts an append in the marks as soon as it was acknowledged, though its markers are written later', async () => {
    const topic = names.topic();
    await bus.ensureTopics([spec(topic)]);
    const producer = await bus.openProducer({ name: names.producer() });
    for (let turn = 0; turn < 40; turn += 1) {
      const [appended] = await producer.append([{ topic, partition: 0, records: records('r', 3) }]);
      const { highWater } = await markOf(bus, topic);
      expect(highWater).toBeGreaterThanOrEqual((appended?.firstOffset ?? Infinity) + 3);
    }
    await producer.close();
  });

  it('gives an append that is larger than a batch consecutive offsets, though others write between', async () => {
    const topic = names.topic();
    await bus.ensureTopics([spec(topic, 1, { recordBytesMax: 2_000_000 })]);
    const [big, small] = await Promise.all([
      bus.openProducer({ name: names.producer('big') }),
      bus.openProducer({ name: names.producer('small') }),
    ]);
    // 20 MB: at least four batches of what the topic allows at once.
    const payload = 'x'.repeat(1_000_000);
    const items: OutgoingRecord[] = Array.from({ length: 20 }, (_, index) => record(`${index} ${payload}`));
    let done = false;
    const large = big.append([{ topic, partition: 0, records: items }]).finally(() => {
      done = true;
    });
    let others = 0;
    const isDone = () => done;
    while (!isDone() && others < 5) {
      await small.append([{ topic, partition: 0, records: records('small', 1, others) }]);
      others += 1;
    }
    const [appended] = await large;
    await Promise.all([big.close(), small.close()]);
    const found = await readPartition(bus, topic);
    expect(others).toBeGreaterThan(0);
    expect(found.length).toBe(20 + others);
    const first = appended?.firstOffset ?? -1;
    const stretch = found.filter(({ offset }) => offset >= first && offset < first + 20);
    expect(texts(stretch).map((text) => text.split(' ')[0])).toEqual(items.map((_, index) => String(index)));
  });

  it('leaves no call waiting, whenever it comes: as the last transaction ends, or after it, or many at once', async () => {
    const topic = names.topic();
    await bus.ensureTopics([spec(topic)]);
    const producer = await bus.openProducer({ name: names.producer() });
    let count = 0;
    const one = () => producer.append([{ topic, partition: 0, records: records('r', 1, count++) }]);
    for (let round = 0; round < 150; round += 1) {
      const calls = Array.from({ length: 1 + (round % 16) }, async () => {
        await one();
        // A few turns of the event queue later the producer is just about to rest.
        for (let turn = 0; turn < round % 7; turn += 1) await Promise.resolve();
        await one();
      });
      await within('the appends of one round', Promise.all(calls), 10_000);
    }
    await producer.close();
    expect((await readPartition(bus, topic)).length).toBe(count);
  });

  it('leaves no group behind after reading, and shows observers the progress of a consumer', async () => {
    const [topic, group] = [names.topic(), asGroupName(names.group())];
    await bus.ensureTopics([spec(topic)]);
    await append(bus, topic, records('r', 5));
    const groups = async () => (await admin.listGroups()).groups.map(({ groupId }) => groupId);
    const before = await groups();
    await readPartition(bus, topic);
    expect((await groups()).filter((name) => !before.includes(name))).toEqual([]);

    const [watch, store] = [new GroupWatch(), new AppliedStore()];
    const consumer = member({ name: 'one', bus, group, topics: [topic], watch, store });
    await consumer.start();
    await eventually('all records', () => store.count === 5);
    const { highWater } = await markOf(bus, topic);
    await eventually('the progress to show', async () => {
      const [found] = await admin.fetchOffsets({ groupId: group, topics: [topic] });
      return found?.partitions[0]?.offset === String(highWater);
    });
    await consumer.stop();
    const { groups: described } = await admin.describeGroups([group]);
    expect(described[0]).toMatchObject({ protocolType: 'consumer', members: [] });
  });

  it('says nothing on the console, and no secret to its log, when it cannot get in', async () => {
    const said: string[] = [];
    for (const method of ['log', 'info', 'warn', 'error', 'debug'] as const)
      jest.spyOn(console, method).mockImplementation((...words) => void said.push(words.join(' ')));
    for (const stream of [process.stdout, process.stderr])
      jest.spyOn(stream, 'write').mockImplementation((chunk) => {
        said.push(String(chunk));
        return true;
      });
    const logged: string[] = [];
    const note = (event: string, fields?: LogFields) => void logged.push(JSON.stringify([event, fields]));
    const logger: Logger = { debug: note, info: note, warn: note, error: note, with: () => logger };
    const telemetry = { forComponent: () => ({ logger }) } as unknown as Telemetry;
    const denied = await openKafka({
      requestTimeoutMs: 1_500,
      sasl: { mechanism: 'plain', username: 'someone', password: 'hunter2-not-in-any-log' },
      telemetry,
    });
    const health = await denied.health();
    const error = await refusal(denied.partitionsOf(names.topic()), 'BUS_UNAVAILABLE');
    await denied.close();
    expect(health.ok).toBe(false);
    expect(logged.length).toBeGreaterThan(0);
    expect(said).toEqual([]);
    expect(`${logged.join()} ${health.detail} ${error.message} ${String(error.cause)}`).not.toContain('hunter2');
  });

  it('leaves nothing running when it is closed with everything open', async () => {
    const [topic, group] = [names.topic(), asGroupName(names.group())];
    const busy: Bus = await openKafka();
    await busy.ensureTopics([spec(topic)]);
    const producer = await busy.openProducer({ name: names.producer() });
    const reader = await busy.openReader([at(topic, 0, 0)]);
    const polling = reader.poll({ recordsMax: 1, waitMs: 60_000 });
    const [watch, store] = [new GroupWatch(), new AppliedStore()];
    await member({ name: 'one', bus: busy, group, topics: [topic], watch, store }).start();
    await eventually('the assignment', () => watch.owned('one').length === 1);
    await busy.close();
    expect(await polling).toEqual([]);
    await refusal(producer.append([{ topic, partition: 0, records: records('late', 1) }]), 'BUS_PRODUCER_CLOSED');
    expect(watch.events.at(-1)).toMatchObject({ kind: 'revoked', how: 'released' });
    // Not a whole second passes on the broker with a member that has not said goodbye.
    const { groups } = await admin.describeGroups([group]);
    expect(groups[0]?.members).toEqual([]);
  });
});
