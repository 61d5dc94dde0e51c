import { describe, expect, it } from '@jest/globals';
import { asTopicName } from '../../../rails/eb-ref.js';
import { ManualClock } from '../../clock/manual.clock.js';
import { firstSince } from './kafka.marks.js';
import type { Wire } from './kafka.wire.js';

const TOPIC = asTopicName('payments.v1');
const [EARLIEST, LATEST] = [-2, -1];

/** A broker that leads two partitions and answers as Kafka does: `-1` where no record is as young as was asked. */
function broker(since: (partition: number, timestamp: number) => string): { wire: Wire; asked: number[] } {
  const asked: number[] = [];
  const offsetOf = (partition: number, timestamp: number): string => {
    asked.push(timestamp);
    if (timestamp === EARLIEST) return '10';
    return timestamp === LATEST ? '90' : since(partition, timestamp);
  };
  const listOffsets = ({
    topics,
  }: {
    topics: readonly { partitions: readonly { partition: number; timestamp: number }[] }[];
  }) =>
    Promise.resolve({
      responses: topics.map(({ partitions }) => ({
        partitions: partitions.map(({ partition, timestamp }) => ({
          partition,
          offset: offsetOf(partition, timestamp),
        })),
      })),
    });
  const wire = {
    leaders: () => Promise.resolve(new Map([0, 1].map((partition) => [partition, 7]))),
    ask: (_: number, work: (one: unknown) => Promise<unknown>) => work({ listOffsets }),
  };
  return { wire: wire as unknown as Wire, asked };
}

const found = async (since: (partition: number, timestamp: number) => string, ms: number) => {
  const { wire, asked } = broker(since);
  const places = await firstSince({ wire, clock: new ManualClock(), timeoutMs: 1_000 }, TOPIC, ms);
  return { offsets: places.map(({ offset }) => offset), asked };
};

describe('the first record since a time', () => {
  it('is what the broker says, and the end of a partition that has none', async () => {
    const { offsets, asked } = await found((partition) => (partition === 0 ? '42' : '-1'), 1_767_225_600_000);
    expect(offsets).toEqual([42, 90]);
    expect(asked).toContain(1_767_225_600_000);
  });

  it('lies within what can be read, whatever the broker says', async () => {
    expect((await found((partition) => (partition === 0 ? '3' : '97'), 5)).offsets).toEqual([10, 90]);
  });

  it('a time before the first is asked as the first: what is below is a word of the broker for its ends', async () => {
    const { offsets, asked } = await found(() => '10', -1);
    expect(offsets).toEqual([10, 10]);
    expect(asked.filter((ms) => ms !== EARLIEST && ms !== LATEST)).toEqual([0, 0]);
  });
});
