import { closeSync, existsSync, openSync, readFileSync, writeSync } from 'node:fs';
import { asGroupName } from '../../src/substrate/bus/bus.names.js';
import { asOffset, asTopicName } from '../../src/rails/eb-ref.js';
import { type Position, type TopicPartition } from '../../src/substrate/bus/bus.port.js';
import { texts } from '../../src/substrate/bus/contract/kit.js';
import { openKafka } from '../support/kafka.js';
import { tagged } from '../support/kafka-log.js';

/** What a killed consumer leaves: per batch one line, with what was applied and where to go on. */
export interface AppliedLine {
  readonly partition: number;
  readonly nextOffset: number;
  readonly texts: readonly string[];
}

/** A torn line is one that was being written when its process was killed: neither applied nor moved on. */
export function appliedLines(file: string): AppliedLine[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .flatMap((line) => {
      if (!line.startsWith('{') || !line.endsWith('}')) return [];
      return [JSON.parse(line) as AppliedLine];
    });
}

/** Appends batches, three calls at a time, and says on stdout which were acknowledged, until it is killed. */
async function produce(topicText: string, name: string, run: string): Promise<void> {
  const topic = asTopicName(topicText);
  const bus = await openKafka();
  const producer = await bus.openProducer({ name });
  const lane = async (letter: string) => {
    for (let turn = 0; ; turn += 1) {
      const id = `${run}${letter}${turn}`;
      await producer.append(tagged(topic, id, 1 + (turn % 9), 'x'.repeat(400)));
      writeSync(1, `ack ${id}\n`);
    }
  };
  writeSync(1, 'ready\n');
  await Promise.all(['a', 'b', 'c'].map(lane));
}

/** Applies what it is given to a file that it shares with its successors, until it is killed. */
async function consume(topicText: string, groupText: string, file: string): Promise<void> {
  const topic = asTopicName(topicText);
  const bus = await openKafka();
  const positions = (places: readonly TopicPartition[]): Promise<readonly Position[]> => {
    const next = new Map(appliedLines(file).map((line) => [line.partition, line.nextOffset]));
    return Promise.resolve(
      places.flatMap(({ partition }) => {
        const offset = next.get(partition);
        return offset === undefined ? [] : [{ topic, partition, offset: asOffset(offset) }];
      }),
    );
  };
  const out = openSync(file, 'a');
  const consumer = bus.openConsumer({
    group: asGroupName(groupText),
    topics: [topic],
    positions,
    startWhenUnknown: 'low-water',
    batchRecordsMax: 50,
    sessionTimeoutMs: 6_000,
    onBatch: ({ partition, nextOffset, records }, { signal }) => {
      if (!signal.aborted) writeSync(out, `\n${JSON.stringify({ partition, nextOffset, texts: texts(records) })}\n`);
      return Promise.resolve();
    },
  });
  await consumer.start();
  writeSync(1, 'ready\n');
  process.once('SIGTERM', () => {
    void bus.close().then(() => {
      closeSync(out);
    });
  });
}

const [role, ...words] = process.argv.slice(2);
if (role === 'produce') await produce(words[0] ?? '', words[1] ?? '', words[2] ?? '');
if (role === 'consume') await consume(words[0] ?? '', words[1] ?? '', words[2] ?? '');
