import { describe, expect, it } from '@jest/globals';
import { SystemClock } from '../../clock/system.clock.js';
import { type OutgoingRecord } from '../bus.port.js';
import { Lane } from './kafka.lane.js';
import { WireError } from './kafka.protocol.js';
import { type Wire } from './kafka.wire.js';

type Request = Readonly<Record<string, unknown>> & { readonly api: string };
type Answer = (request: Request) => unknown;

const lost = () => {
  throw new WireError('unreachable', 'KafkaJSConnectionClosedError', 'the answer was lost');
};
const refused = (type: string) => () => {
  throw new WireError('refused', type, type);
};

/** A broker that answers from a script, one entry per request of a kind, and well when the script has ended. */
function scripted(script: Readonly<Record<string, readonly Answer[]>>) {
  const requests: Request[] = [];
  const left = new Map(Object.entries(script).map(([api, answers]) => [api, [...answers]]));
  let base = 100;
  const well: Readonly<Record<string, Answer>> = {
    initProducerId: () => ({
      producerId: '7',
      producerEpoch: requests.filter(({ api }) => api === 'initProducerId').length,
    }),
    addPartitionsToTxn: () => ({}),
    endTxn: () => ({}),
    produce: ({ topicData }) => ({
      topics: (topicData as { topic: string; partitions: { partition: number; messages: unknown[] }[] }[]).map(
        ({ topic, partitions }) => ({
          topicName: topic,
          partitions: partitions.map(({ partition, messages }) => {
            base += messages.length;
            return { partition, errorCode: 0, baseOffset: String(base - messages.length) };
          }),
        }),
      ),
    }),
  };
  const broker = new Proxy(
    {},
    {
      get: (_, api: string) => (body: Record<string, unknown>) => {
        const request = { ...body, api };
        requests.push(request);
        return Promise.resolve().then(() => (left.get(api)?.shift() ?? well[api] ?? lost)(request));
      },
    },
  );
  const wire: Wire = {
    leaders: () => Promise.resolve(new Map([0, 1].map((partition) => [partition, 1]))),
    refresh: () => Promise.resolve(),
    coordinatorOfTransactions: () => Promise.resolve(1),
    coordinatorOfGroup: () => Promise.resolve(1),
    close: () => Promise.resolve(),
    ask: (_node, request) => request(broker as never),
  };
  const clock = new SystemClock();
  const lane = new Lane({ wire, clock, requestTimeoutMs: 1_000, transactionTimeoutMs: 9_000 }, 'writer');
  const soonMs = () => clock.monotonicMs() + 400;
  const sequences = () =>
    requests
      .filter(({ api }) => api === 'produce')
      .flatMap(({ producerEpoch, topicData }) =>
        (topicData as { partitions: { partition: number; firstSequence: number }[] }[]).flatMap(({ partitions }) =>
          partitions.map(({ partition, firstSequence }) => `e${String(producerEpoch)} p${partition} #${firstSequence}`),
        ),
      );
  return { lane, requests, soonMs, sequences };
}

function part(partition: number, ...batches: readonly number[]) {
  const record: OutgoingRecord = { key: null, value: new Uint8Array(1), headers: {} };
  return { topic: 't', partition, batches: batches.map((count) => Array.from({ length: count }, () => record)) };
}

describe('a transactional lane', () => {
  it('numbers the records of each partition on from transaction to transaction', async () => {
    const { lane, soonMs, sequences } = scripted({});
    await lane.acquire(soonMs());
    for (const parts of [[part(0, 3), part(1, 2)], [part(0, 4)], [part(0, 1), part(1, 1)]]) {
      const { firsts, contiguous } = await lane.send(parts, soonMs());
      expect(firsts.size).toBe(parts.length);
      expect(contiguous).toBe(true);
      expect(await lane.commit(soonMs())).toEqual({ kind: 'committed' });
    }
    expect(sequences()).toEqual(['e1 p0 #0', 'e1 p1 #0', 'e1 p0 #3', 'e1 p0 #7', 'e1 p1 #2']);
  });

  it('repeats a batch whose answer was lost under the same number, so that the broker keeps one of them', async () => {
    const { lane, soonMs, sequences } = scripted({ produce: [lost, lost] });
    await lane.acquire(soonMs());
    await lane.send([part(0, 5)], soonMs());
    expect(sequences()).toEqual(['e1 p0 #0', 'e1 p0 #0', 'e1 p0 #0']);
  });

  it('is of no use after a failure until it was acquired anew, under a higher epoch that counts from 0', async () => {
    const { lane, soonMs, sequences } = scripted({ produce: [refused('OUT_OF_ORDER_SEQUENCE_NUMBER')] });
    await lane.acquire(soonMs());
    await expect(lane.send([part(0, 5)], soonMs())).rejects.toMatchObject({ type: 'OUT_OF_ORDER_SEQUENCE_NUMBER' });
    expect(lane.usable).toBe(false);
    await lane.acquire(soonMs());
    await lane.send([part(0, 5)], soonMs());
    expect(sequences()).toEqual(['e1 p0 #0', 'e2 p0 #0']);
  });

  it('does not take the silence about a partition for success', async () => {
    const { lane, soonMs } = scripted({ produce: Array.from({ length: 50 }, () => () => ({ topics: [] })) });
    await lane.acquire(soonMs());
    await expect(lane.send([part(0, 1)], soonMs())).rejects.toMatchObject({ type: 'NO_ANSWER' });
    expect(lane.usable).toBe(false);
  });

  it('does not take an answer without an offset for success', async () => {
    const unknownOffset = () => ({
      topics: [{ topicName: 't', partitions: [{ partition: 0, errorCode: 0, baseOffset: '-1' }] }],
    });
    const { lane, soonMs } = scripted({ produce: [unknownOffset] });
    await lane.acquire(soonMs());
    await expect(lane.send([part(0, 1)], soonMs())).rejects.toThrow('no safe whole number');
  });

  it('says when the batches of one part did not come to stand side by side', async () => {
    const at = (offset: number) => () => ({
      topics: [{ topicName: 't', partitions: [{ partition: 0, errorCode: 0, baseOffset: String(offset) }] }],
    });
    const apart = scripted({ produce: [at(10), at(13)] });
    await apart.lane.acquire(apart.soonMs());
    expect(await apart.lane.send([part(0, 2, 2)], apart.soonMs())).toMatchObject({ contiguous: false });
    const beside = scripted({ produce: [at(10), at(12)] });
    await beside.lane.acquire(beside.soonMs());
    expect(await beside.lane.send([part(0, 2, 2)], beside.soonMs())).toMatchObject({ contiguous: true });
  });

  const commits: readonly (readonly [string, readonly Answer[], string, boolean])[] = [
    ['answered at once', [], 'committed', true],
    ['answered at the second time of asking', [lost], 'committed', true],
    ['answered after its coordinator moved', [refused('NOT_COORDINATOR_FOR_GROUP')], 'committed', true],
    ['found under way', [lost, refused('CONCURRENT_TRANSACTIONS')], 'committed', true],
    ['refused at once: taken over', [refused('INVALID_PRODUCER_EPOCH')], 'not-committed', false],
    ['refused at once: timed out', [refused('INVALID_TXN_STATE')], 'not-committed', false],
    ['never answered', Array.from({ length: 50 }, () => lost), 'unknown', false],
    ['taken over after an answer was lost', [lost, refused('PRODUCER_FENCED')], 'unknown', false],
    ['of another state after an answer was lost', [lost, refused('INVALID_TXN_STATE')], 'unknown', false],
  ];
  it.each(commits)('whose commit is %s', async (_, endTxn, kind, usable) => {
    const { lane, soonMs } = scripted({ endTxn });
    await lane.acquire(soonMs());
    await lane.send([part(0, 1)], soonMs());
    expect((await lane.commit(soonMs())).kind).toBe(kind);
    expect(lane.usable).toBe(usable);
  });

  it('knows by the reason of a refusal whether it was taken over', async () => {
    const answers = ['INVALID_TXN_STATE', 'PRODUCER_FENCED', 'INVALID_PRODUCER_EPOCH', 'INVALID_PRODUCER_ID_MAPPING'];
    const { lane, soonMs } = scripted({ endTxn: answers.map(refused) });
    await lane.acquire(soonMs());
    const found: boolean[] = [];
    for (let turn = 0; turn < answers.length; turn += 1) found.push(await lane.stillMine(soonMs()));
    expect(found).toEqual([true, false, false, false]);
  });
});
