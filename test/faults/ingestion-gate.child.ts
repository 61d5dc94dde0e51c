import { writeSync } from 'node:fs';
import { asTopicName } from '../../src/rails/eb-ref.js';
import { isProbityError } from '../../src/rails/errors/probity-error.js';
import { type Bus } from '../../src/substrate/bus/bus.port.js';
import { by, IG_SCHEMA, openGate, TOPIC } from '../contract/ingestion-gate.kit.js';
import { apart } from '../contract/ingestion-gate.stand-ins.js';
import { openEmbeddedBus } from '../support/bus.js';
import { openTestServer } from '../support/database.js';
import { openKafka } from '../support/kafka.js';
import { seeded } from '../support/kafka-log.js';
import { openStore } from '../support/objects-store.js';
import { renamed } from '../support/renamed-bus.js';
import { transactionEvent } from '../support/run-facts.js';
import { type GateOrder, ORDER_VARIABLE } from './ingestion-gate.order.js';

/** Written at once, so that a SIGKILL finds each line whole or not at all. */
function say(...words: readonly (string | number)[]): void {
  writeSync(1, `${words.join(' ')}\n`);
}

async function openBus({ bus, place, dieAfterAppends }: GateOrder): Promise<Bus> {
  const script = { next: [], appends: 0, afterAppend: () => dieAt() };
  const dieAt = (): void => {
    if (script.appends === dieAfterAppends) process.kill(process.pid, 'SIGKILL');
  };
  if (typeof bus === 'object') return apart(renamed(await openKafka(), TOPIC, asTopicName(bus.kafkaTopic)), script);
  const embedded = (await openEmbeddedBus(place)).bus;
  return bus === 'embedded' ? embedded : apart(embedded, script);
}

/** Sends numbered events in three lanes, with some that were sent before, and again where the gate says so. */
async function main(order: GateOrder): Promise<void> {
  const random = seeded(order.seed);
  const gate = await openGate({
    bus: await openBus(order),
    database: openTestServer(order.place).forSchema(IG_SCHEMA),
    objects: await openStore(order.store),
  });
  let next = order.from;
  const until = order.until ?? Infinity;
  const send = async (numbers: readonly number[]): Promise<void> => {
    for (;;) {
      try {
        const receipts = await gate.admit(
          numbers.map((number) => ({ text: transactionEvent(order.run, number) })),
          by(),
        );
        receipts.forEach(({ decision, eb_ref }, index) =>
          say('ack', numbers[index] ?? -1, decision, `${eb_ref?.partition}/${eb_ref?.offset}`),
        );
        return;
      } catch (error) {
        if (!isProbityError(error) || !error.retryable) throw error;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  };
  const lane = async (): Promise<void> => {
    while (next < until) {
      const size = Math.min(1 + Math.floor(random() * 40), until - next);
      const fresh = Array.from({ length: size }, (_, index) => next + index);
      next += size;
      const again = fresh.slice(0, 3).map((number) => Math.max(0, number - Math.floor(random() * 60)));
      await send([...fresh, ...again]);
    }
  };
  say('ready');
  await Promise.all([lane(), lane(), lane()]);
  say('done');
  process.exit(0);
}

await main(JSON.parse(process.env[ORDER_VARIABLE] ?? '{}') as GateOrder);
