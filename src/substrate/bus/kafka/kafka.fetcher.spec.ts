import { describe, expect, it } from '@jest/globals';
import { asOffset, asTopicName } from '../../../rails/eb-ref.js';
import { SystemClock } from '../../clock/system.clock.js';
import { KafkaFetcher } from './kafka.fetcher.js';
import { classify, WireError } from './kafka.protocol.js';
import { type Wire } from './kafka.wire.js';

const place = { topic: asTopicName('t'), partition: 0 };

const record = {
  offset: '0',
  timestamp: '0',
  key: null,
  value: Buffer.from('read'),
  headers: {},
  isControlRecord: false,
  batchContext: { firstOffset: '0', lastOffsetDelta: 0, producerId: '-1', inTransaction: false },
};

/** A fetcher of one partition whose broker fails as the script says, an entry per request, and then answers. */
function scripted(failures: readonly Error[]) {
  const left = [...failures];
  const told: string[] = [];
  const broker = {
    fetch: async ({ topics }: { topics: { partitions: { fetchOffset: string }[] }[] }) => {
      const failure = left.shift();
      if (failure !== undefined) throw failure;
      const from = Number(topics[0]?.partitions[0]?.fetchOffset);
      if (from > 0) await new Promise((resolve) => setTimeout(resolve, 20));
      const messages = from === 0 ? [record] : [];
      return {
        responses: [
          {
            topicName: place.topic,
            partitions: [
              { partition: 0, highWatermark: '1', lastStableOffset: '1', abortedTransactions: null, messages },
            ],
          },
        ],
      };
    },
  };
  const wire: Wire = {
    leaders: () => Promise.resolve(new Map([[0, 1]])),
    refresh: () => Promise.resolve(),
    coordinatorOfTransactions: () => Promise.resolve(1),
    coordinatorOfGroup: () => Promise.resolve(1),
    close: () => Promise.resolve(),
    ask: async (_node, request) => {
      try {
        return await request(broker as never);
      } catch (error) {
        throw classify(error);
      }
    },
  };
  const fetcher = new KafkaFetcher({
    wire,
    clock: new SystemClock(),
    requestTimeoutMs: 1_000,
    bufferRecordsMax: 10,
    onDefect: ({ detail }) => told.push(detail),
  });
  fetcher.seek([{ ...place, offset: asOffset(0) }]);
  fetcher.demand(true);
  return { fetcher, told, left };
}

async function settled(fetcher: KafkaFetcher): Promise<string> {
  for (;;) {
    const batch = fetcher.take(place, 10);
    if (batch !== undefined) return `${batch.records.length} records`;
    const failure = fetcher.failure(place);
    if (failure !== undefined) return failure.code;
    await fetcher.changed(Infinity);
  }
}

describe('a fetcher whose broker fails', () => {
  const unreachable = () => new WireError('unreachable', 'KafkaJSConnectionClosedError', 'closed');

  it.each([
    ['a connection that breaks, however often', Array.from({ length: 7 }, unreachable), 0],
    [
      'a connection that somebody else still opens',
      Array.from({ length: 7 }, () => new Error('Broker not connected')),
      0,
    ],
    ['four unreadable answers in a row', Array.from({ length: 4 }, () => new TypeError('no such byte')), 4],
  ])('goes on after %s', async (_what, failures, told) => {
    const one = scripted(failures);
    expect(await settled(one.fetcher)).toBe('1 records');
    expect(one.told).toHaveLength(told);
    await one.fetcher.close();
  });

  it('stands still by name where no answer can be read', async () => {
    const one = scripted(Array.from({ length: 9 }, () => new TypeError('no such byte')));
    expect(await settled(one.fetcher)).toBe('INTERNAL');
    expect(one.left).toHaveLength(4);
    await one.fetcher.close();
  });
});
