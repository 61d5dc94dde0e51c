import { connect, Socket } from 'node:net';
import { Kafka, logLevel } from 'kafkajs';
import { type BusHarness } from '../../src/substrate/bus/bus.contract.js';
import { KafkaBus, type KafkaBusOptions } from '../../src/substrate/bus/kafka.bus.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { eventually } from './eventually.js';

/** A setting that a test cannot run without: absent, the test fails and says what to give it. */
export function demanded(name: string, what: string): string {
  const value = process.env[name];
  if (value === undefined || value === '') throw new Error(`set ${name} to ${what}`);
  return value;
}

export function kafkaBrokers(): string[] {
  return demanded('KAFKA_BROKERS', 'the brokers of a Kafka that this test may fill, as host:port,host:port').split(',');
}

/** A bus with limits short enough for tests that wait for them. */
export function openKafka(more: Partial<KafkaBusOptions> = {}): Promise<KafkaBus> {
  return KafkaBus.open({
    brokers: kafkaBrokers(),
    clientId: 'probity-test',
    clock: new SystemClock(),
    requestTimeoutMs: 5_000,
    ...more,
  });
}

/** Takes the topics away with all that stands in them, so that whoever makes them next begins at offset 0. */
export async function withoutTopics(topics: readonly string[]): Promise<void> {
  const admin = new Kafka({ brokers: kafkaBrokers(), clientId: 'probity-test', logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    const there = async (): Promise<readonly string[]> =>
      (await admin.listTopics()).filter((topic) => topics.includes(topic));
    const standing = await there();
    if (standing.length > 0) await admin.deleteTopics({ topics: [...standing] });
    await eventually(there, (left) => left.length === 0, 30_000);
  } finally {
    await admin.disconnect();
  }
}

/**
 * Connections that can go dead without being closed, as when a cable is pulled: after `cut`, nothing that is written
 * leaves, nothing that comes is seen, and new connections never come about.
 */
export function cuttableLine() {
  const sockets = new Set<Socket>();
  let dead = false;
  return {
    dial: (host: string, port: number, onConnect: () => void): Socket => {
      if (dead) return new Socket();
      const socket = connect({ host, port }, onConnect);
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      return socket;
    },
    cut: () => {
      dead = true;
      for (const socket of sockets) {
        socket.write = () => true;
        socket.end = () => socket;
        socket.removeAllListeners('data').removeAllListeners('end').pause();
      }
    },
  };
}

export async function kafkaHarness(): Promise<BusHarness> {
  const bus = await openKafka();
  return {
    bus,
    openSecond: () => openKafka(),
    openCuttable: async () => {
      const { dial, cut } = cuttableLine();
      const lonely = await openKafka({
        dial,
        requestTimeoutMs: 2_000,
        connectionTimeoutMs: 1_000,
        appendTimeoutMs: 4_000,
      });
      return {
        bus: lonely,
        cut: () => {
          cut();
          return Promise.resolve();
        },
      };
    },
    close: () => bus.close(),
  };
}
