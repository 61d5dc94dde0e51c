import { connect as connectPlain, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import kafkajs, {
  type Admin,
  type Broker,
  type Cluster,
  type Consumer,
  type ISocketFactory,
  type Kafka,
  type SASLOptions,
} from 'kafkajs';
import { type Logger } from '../../telemetry/telemetry.port.js';
import { classify, type WireBroker, WireError } from './kafka.protocol.js';

/**
 * The only file that knows kafkajs. It uses the library as what it is good at: framing, encoding, SASL, TLS, metadata, one
 * request on one connection. It does not use the library's own producer and consumer, because each of them answers
 * "ok" for records that are lost or written twice once an answer goes missing (docs/decisions, "kafkajs as a wire"):
 * their sequence numbers roll back, an unknown partition vanishes, an offset out of range is reset in silence, a revoked
 * partition is handed over while its handler still writes. What is above this file keeps the state of each protocol
 * itself, so that nothing is sent twice that was not meant to be.
 *
 * The library gives a `Cluster` to every partition assigner, and `Broker` has a method per request: both are public. Some of
 * those methods are missing in its type declarations, hence the one cast in `brokerAt`, which checks that they are there.
 */
export interface KafkaConnection {
  /** `host:port` of at least one broker. */
  readonly brokers: readonly string[];
  /** What the brokers' logs and metrics call this process; a suffix names the part of the adapter. */
  readonly clientId: string;
  readonly ssl?: boolean | { readonly ca?: string; readonly cert?: string; readonly key?: string };
  readonly sasl?: {
    readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512';
    readonly username: string;
    readonly password: string;
  };
  /** Warnings of the client library; without it the library says nothing. */
  readonly logger?: Logger;
  /** After this a request counts as unanswered. */
  readonly requestTimeoutMs: number;
  readonly connectionTimeoutMs: number;
  /** How a broker's address is reached where that is not a plain connection: a tunnel, or a line that a test can cut. */
  readonly dial?: (host: string, port: number, onConnect: () => void) => Socket;
}

async function classified<Answer>(request: Promise<Answer>): Promise<Answer> {
  try {
    return await request;
  } catch (error) {
    throw classify(error);
  }
}

/** The library wants one object type per mechanism. */
function saslOf({ mechanism, username, password }: NonNullable<KafkaConnection['sasl']>): SASLOptions {
  switch (mechanism) {
    case 'plain':
      return { mechanism, username, password };
    case 'scram-sha-256':
      return { mechanism, username, password };
    case 'scram-sha-512':
      return { mechanism, username, password };
  }
}

type Dial = NonNullable<KafkaConnection['dial']>;

function dialer({ ssl }: KafkaConnection): Dial {
  if (ssl === undefined || ssl === false) return (host, port, onConnect) => connectPlain({ host, port }, onConnect);
  const options = ssl === true ? {} : ssl;
  return (host, port, onConnect) =>
    connectTls({ ...options, host, port, ...(isIP(host) === 0 ? { servername: host } : {}) }, onConnect);
}

/** One client of the cluster: its own connections and metadata. Producers, readers and consumers have one each. */
export class KafkaWire {
  readonly #kafka: Kafka;
  readonly #consumer: Consumer;
  readonly #cluster: Cluster;
  readonly #open = new Set<Socket>();
  #admin: Promise<Admin> | undefined;
  #closed = false;

  constructor(connection: KafkaConnection, part: string) {
    const { logger } = connection;
    this.#kafka = new kafkajs.Kafka({
      brokers: [...connection.brokers],
      clientId: `${connection.clientId}.${part}`,
      requestTimeout: connection.requestTimeoutMs,
      connectionTimeout: connection.connectionTimeoutMs,
      // In full: the library takes other defaults where NODE_ENV is `test`. Few tries, since the callers retry by deadline.
      retry: { initialRetryTime: 50, maxRetryTime: 500, factor: 0.2, multiplier: 2, retries: 2 },
      logLevel: logger === undefined ? kafkajs.logLevel.NOTHING : kafkajs.logLevel.WARN,
      // Only the sentence and the broker: an entry's other fields may carry payloads.
      logCreator: () => (entry) => {
        logger?.debug('kafka_client', {
          namespace: entry.namespace,
          message: entry.log.message,
          broker: String(entry.log['broker'] ?? ''),
        });
      },
      ...(connection.ssl === undefined ? {} : { ssl: connection.ssl }),
      ...(connection.sasl === undefined ? {} : { sasl: saslOf(connection.sasl) }),
      socketFactory: this.#sockets(connection.dial ?? dialer(connection)),
    });
    let cluster: Cluster | undefined;
    // A consumer that never joins anything: it is made for the cluster that its assigner is handed.
    this.#consumer = this.#kafka.consumer({
      groupId: 'never-joined',
      allowAutoTopicCreation: false,
      partitionAssigners: [
        (config) => {
          cluster = config.cluster;
          return {
            name: 'none',
            version: 0,
            assign: () => Promise.resolve([]),
            protocol: () => ({ name: 'none', metadata: Buffer.alloc(0) }),
          };
        },
      ],
    });
    if (cluster === undefined) throw new WireError('defect', 'NO_CLUSTER', 'the client library gave no cluster');
    this.#cluster = cluster;
  }

  /** The leader's node of every partition. @throws WireError UNKNOWN_TOPIC_OR_PARTITION */
  async leaders(topic: string): Promise<ReadonlyMap<number, number>> {
    await classified(this.#connected().then(() => this.#cluster.addMultipleTargetTopics([topic])));
    const leaders = new Map<number, number>();
    for (const { partitionId, leader } of this.#cluster.findTopicPartitionMetadata(topic))
      leaders.set(partitionId, leader);
    if (leaders.size === 0) throw new WireError('refused', 'UNKNOWN_TOPIC_OR_PARTITION', `no metadata of ${topic}`);
    return leaders;
  }

  /** After an answer that says that leaders or coordinators have moved, and after a lost connection. */
  async refresh(): Promise<void> {
    await classified(this.#connected().then(() => this.#cluster.refreshMetadata()));
  }

  coordinatorOfTransactions(transactionalId: string): Promise<number> {
    return this.#coordinator(transactionalId, 1);
  }

  coordinatorOfGroup(group: string): Promise<number> {
    return this.#coordinator(group, 0);
  }

  /** One request to one node. @throws WireError */
  async ask<Answer>(node: number, request: (broker: WireBroker) => Promise<Answer>): Promise<Answer> {
    return classified(this.#connected().then(async () => request(await this.#brokerAt(node))));
  }

  async admin<Answer>(work: (admin: Admin) => Promise<Answer>): Promise<Answer> {
    this.#admin ??= (async () => {
      const admin = this.#kafka.admin({ retry: { retries: 4 } });
      await admin.connect();
      return admin;
    })();
    const opening = this.#admin;
    try {
      return await work(await opening);
    } catch (error) {
      // The next call makes a new one: an admin client that failed to connect stays unusable.
      if (this.#admin === opening && classify(error).kind !== 'refused') {
        this.#admin = undefined;
        void opening.then((admin) => admin.disconnect()).catch(() => undefined);
      }
      throw classify(error);
    }
  }

  /**
   * Ends every connection at once. The library's own goodbye waits for the answers of what is under way, up to a
   * minute for a join; whoever closes has awaited what matters to him.
   */
  async close(): Promise<void> {
    this.#closed = true;
    const admin = this.#admin;
    this.#admin = undefined;
    for (const socket of this.#open) socket.destroy(new Error('this side has closed the connection'));
    await Promise.allSettled([
      this.#cluster.disconnect(),
      this.#consumer.disconnect(),
      ...(admin === undefined ? [] : [admin.then((one) => one.disconnect())]),
    ]);
  }

  /** The library's sockets, kept in sight so that closing can end them. */
  #sockets(dial: Dial): ISocketFactory {
    return ({ host, port, onConnect }) => {
      if (this.#closed) throw new Error('this side has closed the connection');
      const socket = dial(host, port, onConnect);
      // Requests are small and each is written whole: waiting for more to send would only delay them.
      socket.setNoDelay(true);
      socket.setKeepAlive(true, 60_000);
      this.#open.add(socket);
      socket.once('close', () => this.#open.delete(socket));
      return socket;
    };
  }

  async #connected(): Promise<void> {
    if (this.#closed) throw new WireError('unreachable', 'CLOSED', 'this side has closed the connection');
    if (this.#cluster.isConnected()) return;
    await this.#cluster.connect();
    // Coordinators and leaders are node ids; which address a node has is known only after the first metadata.
    await this.#cluster.refreshMetadataIfNecessary();
  }

  async #coordinator(key: string, coordinatorType: 0 | 1): Promise<number> {
    // The declaration omits the type of coordinator, which the method takes.
    const lookup: { groupId: string; coordinatorType: number } = { groupId: key, coordinatorType };
    const found = await classified(this.#connected().then(() => this.#cluster.findGroupCoordinatorMetadata(lookup)));
    return found.coordinator.nodeId;
  }

  async #brokerAt(node: number): Promise<WireBroker> {
    const broker: Broker & Partial<Record<'joinGroup' | 'endTxn' | 'listOffsets', unknown>> =
      await this.#cluster.findBroker({ nodeId: String(node) });
    const complete = [broker.joinGroup, broker.endTxn, broker.listOffsets].every((one) => typeof one === 'function');
    if (!complete) throw new WireError('defect', 'CLIENT_CHANGED', 'the client library lacks requests of this adapter');
    // A validated border: the methods are there, and their shapes are those of the exactly pinned version.
    return broker as unknown as WireBroker;
  }
}

/** What the protocols need of a wire; a test can stand in for the broker with it. */
export type Wire = Pick<
  KafkaWire,
  'leaders' | 'refresh' | 'coordinatorOfTransactions' | 'coordinatorOfGroup' | 'ask' | 'close'
>;

/** The consumer protocol's own encodings, readable for every tool that lists groups. */
export const encodings = {
  /** What a member asks for, and what it had: the leader leaves with it what it can. */
  subscription: (topics: readonly string[], owned: readonly { topic: string; partition: number }[]): Buffer =>
    kafkajs.AssignerProtocol.MemberMetadata.encode({
      version: 0,
      topics: [...topics],
      userData: kafkajs.AssignerProtocol.MemberAssignment.encode({
        version: 0,
        assignment: byTopic(owned),
        userData: Buffer.alloc(0),
      }),
    }),
  subscribed: (bytes: Buffer) => {
    const metadata = kafkajs.AssignerProtocol.MemberMetadata.decode(bytes);
    const owned = Object.entries(encodings.assigned(metadata?.userData ?? Buffer.alloc(0)));
    return {
      topics: metadata?.topics ?? [],
      owned: owned.flatMap(([topic, partitions]) => partitions.map((partition) => ({ topic, partition }))),
    };
  },
  assignment: (assignment: Readonly<Record<string, readonly number[]>>): Buffer =>
    kafkajs.AssignerProtocol.MemberAssignment.encode({
      version: 0,
      assignment: Object.fromEntries(Object.entries(assignment).map(([topic, partitions]) => [topic, [...partitions]])),
      userData: Buffer.alloc(0),
    }),
  assigned: (bytes: Buffer | null): Readonly<Record<string, readonly number[]>> =>
    bytes === null || bytes.byteLength === 0
      ? {}
      : (kafkajs.AssignerProtocol.MemberAssignment.decode(bytes)?.assignment ?? {}),
};

function byTopic(places: readonly { topic: string; partition: number }[]): Record<string, number[]> {
  const topics: Record<string, number[]> = {};
  for (const { topic, partition } of places) (topics[topic] ??= []).push(partition);
  return topics;
}

export const TOPIC_CONFIG = kafkajs.ConfigResourceTypes.TOPIC;
