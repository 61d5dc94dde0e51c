import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { isProbityError } from '../../src/rails/errors/probity-error.js';
import { asGroupName } from '../../src/substrate/bus/bus.names.js';
import { type Bus, type BusProducer, type TopicName } from '../../src/substrate/bus/bus.port.js';
import { eventually, pause, readPartition, records, spec, texts } from '../../src/substrate/bus/contract/kit.js';
import { AppliedStore, GroupWatch, member } from '../../src/substrate/bus/contract/members.js';
import { demanded, openKafka } from '../support/kafka.js';
import { FULL, faultSeed, freshTopic, seeded, tagged, wrongsOfLog } from '../support/kafka-log.js';
import { appliedLines } from './bus.kafka.child.js';

const LIMIT_MS = FULL ? 900_000 : 120_000;
const run = promisify(execFile);

/** The broker, as the environment says how to reach it: a command that takes `kill` and `start`. */
async function broker(subCommand: 'kill' | 'start'): Promise<void> {
  const control = demanded('PROBITY_TEST_KAFKA_CONTROL', 'a command that takes `kill` and `start` for the broker');
  await run('sh', ['-c', `${control} ${subCommand}`]);
}

/** A compiled program of this folder, and what it has said so far. */
function child(...words: string[]) {
  const script = join(process.cwd(), '.build/test/faults/bus.kafka.child.js');
  const spawned: ChildProcess = spawn(process.execPath, [script, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  let complaint = '';
  spawned.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  spawned.stderr?.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
  const ended = new Promise<void>((resolve) => spawned.once('exit', () => resolve()));
  return {
    ready: () => eventually(`the child to be ready; ${complaint}`, () => said.includes('ready')),
    acknowledged: () => said.split('\n').flatMap((line) => (line.startsWith('ack ') ? [line.slice(4)] : [])),
    kill: async () => {
      spawned.kill('SIGKILL');
      await ended;
    },
  };
}

/** Appends through one producer after the other of a name, several calls at a time, and notes each batch's fate. */
function writer(bus: Bus, topic: TopicName, name: string, random: () => number) {
  const acknowledged = new Set<string>();
  const refused = new Set<string>();
  const unknown = new Set<string>();
  let producer: Promise<BusProducer> | undefined;
  const stop = new AbortController();
  const lane = async (letter: string) => {
    for (let turn = 0; !stop.signal.aborted; turn += 1) {
      const id = `${letter}${turn}`;
      let mine: Promise<BusProducer> | undefined;
      try {
        producer ??= bus.openProducer({ name });
        mine = producer;
        const open = await mine;
        await open.append(tagged(topic, id, 1 + Math.floor(random() * 20)));
        acknowledged.add(id);
      } catch (error) {
        if (isProbityError(error, 'BUS_APPEND_UNKNOWN')) unknown.add(id);
        else if (isProbityError(error)) refused.add(id);
        else throw error;
        const finished = isProbityError(error, 'BUS_APPEND_UNKNOWN') || isProbityError(error, 'BUS_PRODUCER_CLOSED');
        // One successor for all lanes: each of its own would fence the others'.
        if (producer === mine && (finished || !(await alive(mine)))) producer = undefined;
        await pause(20);
      }
    }
  };
  const lanes = ['a', 'b', 'c', 'd'].map(lane);
  const end = async () => {
    stop.abort();
    await Promise.all(lanes);
    await producer?.then((open) => open.close());
  };
  return { acknowledged, refused, unknown, end };
}

async function alive(producer: Promise<BusProducer> | undefined): Promise<boolean> {
  return (await producer?.catch(() => undefined)) !== undefined;
}

describe('the bus on Kafka under faults', () => {
  const seed = faultSeed();
  let folder: string;
  let bus: Bus;
  const open: Bus[] = [];
  const children: ReturnType<typeof child>[] = [];
  const started = (...words: string[]) => {
    const one = child(...words);
    children.push(one);
    return one;
  };
  /** A bus that is closed after its test, however that ends: a consumer left behind would keep the whole run alive. */
  const opened = async (...options: Parameters<typeof openKafka>): Promise<Bus> => {
    const one = await openKafka(...options);
    open.push(one);
    return one;
  };

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'probity-kafka-'));
    bus = await openKafka();
  });
  afterEach(async () => {
    await Promise.all([...open.splice(0).map((one) => one.close()), ...children.splice(0).map((one) => one.kill())]);
  });
  afterAll(async () => {
    await bus.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it(
    `loses and doubles nothing on a line that breaks at any answer (seed ${seed})`,
    async () => {
      const random = seeded(seed);
      const topic = freshTopic('line');
      await bus.ensureTopics([spec(topic, 2)]);
      let breaks = 0;
      let fragile = true;
      let stormEndsMs = 0;
      const shaky = await opened({
        requestTimeoutMs: 2_000,
        // Shorter than a storm, so that appends are given up in all their states.
        appendTimeoutMs: 300,
        dial: (host, port, onConnect) => {
          const socket = connect({ host, port }, onConnect);
          const emit = socket.emit.bind(socket);
          // The broker has acted on the request, and its answer never arrives.
          socket.emit = (event: string | symbol, ...args: unknown[]) => {
            const storm = performance.now() < stormEndsMs;
            if (event !== 'data' || !fragile || (!storm && random() > 0.01)) return emit(event, ...args);
            breaks += 1;
            if (!storm && random() < 0.1) stormEndsMs = performance.now() + 1_000;
            socket.destroy(new Error('the line broke'));
            return true;
          };
          return socket;
        },
      });
      const writing = writer(shaky, topic, freshTopic('writer'), random);
      const goal = FULL ? 1_000 : 60;
      await eventually('the line to break often', () => breaks >= goal && writing.unknown.size > 0, LIMIT_MS);
      await eventually('appends in spite of it', () => writing.acknowledged.size >= goal, LIMIT_MS);
      fragile = false;
      await writing.end();
      await shaky.close();
      expect(writing.refused.size).toBeGreaterThan(0);
      expect(writing.unknown.size).toBeGreaterThan(0);
      expect(await wrongsOfLog(bus, topic, writing)).toEqual([]);
    },
    LIMIT_MS,
  );

  it(
    `loses nothing acknowledged and tears no batch when its writer is killed (seed ${seed})`,
    async () => {
      const random = seeded(seed);
      const topic = freshTopic('writer-killed');
      await bus.ensureTopics([spec(topic, 2)]);
      const acknowledged = new Set<string>();
      for (let round = 0; round < (FULL ? 25 : 4); round += 1) {
        const writing = started('produce', topic, topic, `r${round}.`);
        await writing.ready();
        await eventually('some appends', () => writing.acknowledged().length > 10);
        await pause(Math.floor(random() * 300));
        await writing.kill();
        for (const id of writing.acknowledged()) acknowledged.add(id);
        // The successor settles what was in flight; before it is open, the log may still move.
        const successor = await bus.openProducer({ name: topic });
        const settled = await bus.marks(topic);
        await successor.close();
        expect(await bus.marks(topic)).toEqual(settled);
        expect(await wrongsOfLog(bus, topic, { acknowledged, refused: new Set() })).toEqual([]);
      }
      expect(acknowledged.size).toBeGreaterThan(40);
    },
    LIMIT_MS,
  );

  it(
    `applies every record once and in order though its consumers are killed (seed ${seed})`,
    async () => {
      const random = seeded(seed);
      const topic = freshTopic('consumer-killed');
      const file = join(folder, 'applied');
      await bus.ensureTopics([spec(topic, 4)]);
      const producer = await bus.openProducer({ name: topic });
      const sent = [0, 0, 0, 0];
      const stop = new AbortController();
      const feeding = (async () => {
        for (let turn = 0; !stop.signal.aborted; turn += 1) {
          const partition = turn % 4;
          const count = 1 + Math.floor(random() * 30);
          await producer.append([{ topic, partition, records: records(`p${partition}`, count, sent[partition]) }]);
          sent[partition] = (sent[partition] ?? 0) + count;
          await pause(5);
        }
      })();
      const applied = () => appliedLines(file).reduce((sum, line) => sum + line.texts.length, 0);
      const start = () => started('consume', topic, topic, file);
      let [one, two] = [start(), start()];
      for (let round = 0; round < (FULL ? 8 : 2); round += 1) {
        await Promise.all([one.ready(), two.ready()]);
        const goal = applied() + 200;
        await eventually('progress', () => applied() > goal, 60_000);
        await pause(Math.floor(random() * 500));
        await two.kill();
        const later = applied() + 100;
        await eventually('progress of the survivor', () => applied() > later, 60_000);
        [one, two] = [start(), one];
      }
      stop.abort();
      await feeding;
      await producer.close();
      const total = sent.reduce((sum, count) => sum + count, 0);
      await eventually('everything to be applied', () => applied() >= total, 60_000);
      await Promise.all([one.kill(), two.kill()]);
      for (const [partition, count] of sent.entries()) {
        const lines = appliedLines(file).filter((line) => line.partition === partition);
        expect(lines.flatMap((line) => line.texts)).toEqual(texts(records(`p${partition}`, count)));
      }
    },
    LIMIT_MS,
  );

  it(
    `loses and doubles nothing when the broker is killed under writers and consumers (seed ${seed})`,
    async () => {
      const random = seeded(seed);
      const topic = freshTopic('broker-killed');
      await bus.ensureTopics([spec(topic, 2)]);
      const [watch, store] = [new GroupWatch(), new AppliedStore()];
      const reading = await opened();
      const consumer = member({ name: 'one', bus: reading, group: asGroupName(topic), topics: [topic], watch, store });
      await consumer.start();
      const writing = writer(bus, topic, topic, random);
      for (let round = 0; round < (FULL ? 10 : 2); round += 1) {
        const goal = writing.acknowledged.size + 20;
        await eventually('appends', () => writing.acknowledged.size > goal, 60_000);
        await pause(Math.floor(random() * 400));
        await broker('kill');
        // Sometimes longer than an append tries, so that refusals and unknown fates come about.
        await pause(FULL && random() < 0.3 ? 20_000 : 200);
        await broker('start');
      }
      const goal = writing.acknowledged.size + 20;
      await eventually('appends after the last start', () => writing.acknowledged.size > goal, 60_000);
      await writing.end();
      expect(await wrongsOfLog(bus, topic, writing)).toEqual([]);
      const marks = await bus.marks(topic);
      await eventually('the consumer to reach the end', async () => {
        const status = await consumer.status();
        // A partition that stands still will not move again: say why at once.
        expect(status.flatMap(({ halted }) => halted ?? [])).toEqual([]);
        return status.length === 2 && status.every(({ lagOffsets }) => lagOffsets === 0);
      });
      await consumer.stop();
      expect([...watch.faults, ...store.faults]).toEqual([]);
      expect(marks.length).toBe(2);
      const log = await wrongsOfApplied(bus, topic, store);
      expect(log).toEqual([]);
    },
    LIMIT_MS,
  );
});

/** Where what was applied differs from the log. */
async function wrongsOfApplied(bus: Bus, topic: TopicName, store: AppliedStore): Promise<string[]> {
  const wrongs: string[] = [];
  for (const partition of [0, 1]) {
    const log = texts(await readPartition(bus, topic, partition));
    const applied = store.applied({ topic, partition });
    if (log.join() !== applied.join()) wrongs.push(`${partition}: ${applied.length} applied of ${log.length}`);
  }
  return wrongs;
}
