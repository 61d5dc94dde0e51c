import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, freshNames, pause, spec } from '../../src/substrate/bus/contract/kit.js';
import { type ChildOrder } from '../support/bus-child.js';
import { BusChild, caughtUp, effectsOf, verifyLogAndEffects } from '../support/bus-processes.js';
import { freshBusDatabase, openEmbeddedBus, UNIT_SCHEMA } from '../support/bus.js';
import { openTestPostgres, type TestPostgres } from '../support/database.js';

const servers: TestPostgres[] = [];
beforeAll(async () => {
  servers.push(await openTestPostgres());
});
afterAll(async () => {
  await Promise.all(servers.map((server) => server.close()));
});

const PARTITIONS = 3;
const FULL = process.env['PROBITY_FAULTS'] === 'full';

/** Whom each round kills; the long run goes through it again and again with other moments. */
const VICTIMS = ['producer', 'consumer', 'server'] as const;

async function crashes(seed: number, rounds: number): Promise<void> {
  const [server] = servers;
  if (server === undefined) throw new Error('the server was not started');
  const database = await freshBusDatabase(server);
  const { bus, close } = await openEmbeddedBus(database);
  const names = freshNames();
  const [topic, group] = [names.topic(), names.group()];
  await bus.ensureTopics([spec(topic, PARTITIONS)]);
  const unit = database.forSchema(UNIT_SCHEMA);
  const { address, admin, roleSecret } = database;
  const children: BusChild[] = [];
  const start = (work: ChildOrder['work']) => {
    const run = `${work}${children.length}-`;
    const place = { address, admin, roleSecret };
    const name = work === 'produce' ? 'writer' : group;
    children.push(
      new BusChild({ work, place, topic, partitions: PARTITIONS, name, run, seed: seed + children.length }),
    );
    const child = children.at(-1);
    if (child === undefined) throw new Error('no child was started');
    return child.ready();
  };
  const progress = async (more: number) => {
    const before = await eventually('the state to be readable', () => effectsOf(unit).catch(() => undefined));
    await eventually('everybody to be at work', async () => {
      const effects = await effectsOf(unit).catch(() => undefined);
      return effects !== undefined && effects.length >= before.length + more;
    });
  };
  try {
    let producer = await start('produce');
    let consumers = [await start('consume'), await start('consume')];
    for (let round = 0; round < rounds; round += 1) {
      await progress(30);
      // The moment within the writes is left to the seed: no two rounds hit the same place.
      await pause((Math.imul(seed + round, 2_654_435_761) >>> 0) % 150);
      const victim = VICTIMS[(seed + round) % VICTIMS.length];
      if (victim === 'producer') {
        await producer.end('SIGKILL');
        producer = await start('produce');
      } else if (victim === 'consumer') {
        const [first, ...others] = consumers;
        await first?.end('SIGKILL');
        consumers = [...others, await start('consume')];
      } else await server.crash();
    }
    await progress(30);
    await producer.end('SIGKILL');
    // Successors settle what was in flight when the last producer died.
    for (const lane of ['a', 'b', 'c']) await (await bus.openProducer({ name: `writer.${lane}` })).close();
    await caughtUp(bus, unit, topic);
    const producers = children.filter(({ order }) => order.work === 'produce');
    const found = await verifyLogAndEffects(bus, unit, topic, producers);
    expect(found.records).toBeGreaterThan(30 * rounds);
    expect(children.flatMap((child) => child.said('stale'))).toEqual([]);
    expect(children.map(({ errors }) => errors).filter((errors) => errors !== '')).toEqual([]);
  } finally {
    await Promise.all(children.map((child) => child.end('SIGKILL')));
    await close();
    await database.drop();
  }
}

describe('the embedded bus, when producers, consumers and its server are killed in the middle of their writes', () => {
  const seeds = FULL ? [1, 2, 3, 4, 5, 6] : [1];
  it.each(seeds)(
    'loses nothing acknowledged, leaves nothing half, applies nothing twice (seed %d)',
    async (seed) => {
      await crashes(seed, FULL ? 12 : 3);
    },
    600_000,
  );
});
