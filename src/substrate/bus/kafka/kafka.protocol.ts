/**
 * What is asked of a broker and how it answers, in the shapes of the pinned client library; and how a request fails.
 * Nothing here imports the library.
 */

/**
 * How a request failed. `refused`: the broker answered with an error, `type` is Kafka's own name for it.
 * `unreachable`: no answer came, so the broker may have acted or not. `defect`: our own mistake.
 */
export class WireError extends Error {
  constructor(
    readonly kind: 'refused' | 'unreachable' | 'defect',
    readonly type: string,
    message: string,
    readonly at?: { readonly topic: string; readonly partition: number },
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'WireError';
  }
}

export function isRefusal(error: unknown, ...types: readonly string[]): error is WireError {
  return error instanceof WireError && error.kind === 'refused' && (types.length === 0 || types.includes(error.type));
}

export interface RawRecord {
  readonly offset: string;
  readonly timestamp: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, Buffer | string | readonly (Buffer | string)[] | undefined>>;
  readonly isControlRecord: boolean;
  readonly batchContext: {
    readonly firstOffset: string;
    readonly lastOffsetDelta: number;
    readonly producerId: string;
    readonly inTransaction: boolean;
  };
}

export interface RawPartition {
  readonly partition: number;
  readonly highWatermark: string;
  readonly lastStableOffset: string;
  readonly abortedTransactions: readonly { readonly producerId: string; readonly firstOffset: string }[] | null;
  readonly messages: readonly RawRecord[];
}

export interface ProducerIdentity {
  readonly transactionalId: string;
  readonly producerId: string;
  readonly producerEpoch: number;
}

export interface TopicPartitions {
  readonly topic: string;
  readonly partitions: readonly number[];
}

export interface JoinedGroup {
  readonly generationId: number;
  readonly leaderId: string;
  readonly memberId: string;
  readonly members: readonly { readonly memberId: string; readonly memberMetadata: Buffer }[];
}

type RawTopics<Partition> = readonly { readonly topic: string; readonly partitions: readonly Partition[] }[];

/** The requests of a broker that this adapter sends; the answers are those of the pinned version of the library. */
export interface WireBroker {
  produce(request: {
    readonly transactionalId: string;
    readonly producerId: string;
    readonly producerEpoch: number;
    readonly acks: number;
    readonly timeout: number;
    readonly topicData: RawTopics<{
      readonly partition: number;
      readonly firstSequence: number;
      readonly messages: readonly WireMessage[];
    }>;
  }): Promise<{
    readonly topics: readonly {
      readonly topicName: string;
      readonly partitions: readonly {
        readonly partition: number;
        readonly errorCode: number;
        readonly baseOffset: string;
      }[];
    }[];
  }>;
  fetch(request: {
    readonly isolationLevel: number;
    readonly maxWaitTime: number;
    readonly minBytes: number;
    readonly maxBytes: number;
    readonly topics: RawTopics<{ readonly partition: number; readonly fetchOffset: string; readonly maxBytes: number }>;
  }): Promise<{
    readonly responses: readonly { readonly topicName: string; readonly partitions: readonly RawPartition[] }[];
  }>;
  listOffsets(request: {
    readonly isolationLevel: number;
    readonly topics: RawTopics<{ readonly partition: number; readonly timestamp: number }>;
  }): Promise<{ readonly responses: RawTopics<{ readonly partition: number; readonly offset: string }> }>;
  initProducerId(request: {
    readonly transactionalId: string;
    readonly transactionTimeout: number;
  }): Promise<{ readonly producerId: string; readonly producerEpoch: number }>;
  addPartitionsToTxn(request: ProducerIdentity & { readonly topics: readonly TopicPartitions[] }): Promise<unknown>;
  endTxn(request: ProducerIdentity & { readonly transactionResult: boolean }): Promise<unknown>;
  joinGroup(request: {
    readonly groupId: string;
    readonly sessionTimeout: number;
    readonly rebalanceTimeout: number;
    readonly memberId: string;
    readonly groupProtocols: readonly { readonly name: string; readonly metadata: Buffer }[];
  }): Promise<JoinedGroup>;
  syncGroup(request: {
    readonly groupId: string;
    readonly generationId: number;
    readonly memberId: string;
    readonly groupAssignment: readonly { readonly memberId: string; readonly memberAssignment: Buffer }[];
  }): Promise<{ readonly memberAssignment: Buffer }>;
  heartbeat(request: {
    readonly groupId: string;
    readonly groupGenerationId: number;
    readonly memberId: string;
  }): Promise<unknown>;
  leaveGroup(request: { readonly groupId: string; readonly memberId: string }): Promise<unknown>;
  offsetCommit(request: {
    readonly groupId: string;
    readonly groupGenerationId: number;
    readonly memberId: string;
    readonly topics: RawTopics<{ readonly partition: number; readonly offset: string }>;
  }): Promise<unknown>;
}

export interface WireMessage {
  readonly key: string | null;
  readonly value: Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

export const READ_COMMITTED = 1;
export const READ_UNCOMMITTED = 0;

const CLASSIFIED_BY_NUMBER: Readonly<Record<string, string>> = {
  '90': 'PRODUCER_FENCED',
  '120': 'TRANSACTION_ABORTABLE',
};

/** Names what a library error means; looks through its wrappers, since an outage arrives as KafkaJSNonRetriableError. */
export function classify(error: unknown): WireError {
  if (error instanceof WireError) return error;
  const chain: (Error & { type?: unknown; topic?: unknown; partition?: unknown; errors?: unknown })[] = [];
  for (let at: unknown = error; at instanceof Error && chain.length < 8; at = at.cause) chain.push(at);
  const outer = chain[0];
  if (outer === undefined) return new WireError('defect', 'NOT_AN_ERROR', String(error));
  if (Array.isArray(outer.errors) && outer.errors[0] instanceof Error) return classify(outer.errors[0]);
  const typed = chain.find((one) => typeof one.type === 'string');
  if (typed !== undefined) {
    // The library's table of error codes ends before 90; newer codes reach us as a sentence with the number in it.
    const number = /Unknown error code (\d+)/.exec(typed.message)?.[1];
    const type = number === undefined ? String(typed.type) : (CLASSIFIED_BY_NUMBER[number] ?? `CODE_${number}`);
    const at =
      typeof typed.topic === 'string' && typeof typed.partition === 'number'
        ? { topic: typed.topic, partition: typed.partition }
        : undefined;
    return new WireError('refused', type, typed.message, at, { cause: error });
  }
  if (chain.some((one) => one.name === 'KafkaJSSASLAuthenticationError')) {
    return new WireError('refused', 'SASL_AUTHENTICATION_FAILED', outer.message, undefined, { cause: error });
  }
  // Node's own names for a broken connection are E… and ERR_…; anything else that is not the library's is our mistake.
  // One plain sentence is the library's, too: a request met a connection that another one was still opening, after the
  // broker's address was learnt anew. Taken for a mistake of ours, it would stop a partition for good.
  const known =
    outer.name.startsWith('KafkaJS') ||
    outer.message === 'Broker not connected' ||
    ('code' in outer && /^E[A-Z_]+$/.test(String(outer.code)));
  return new WireError(known ? 'unreachable' : 'defect', outer.name, outer.message, undefined, { cause: error });
}
