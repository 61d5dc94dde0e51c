import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, freshNames, spec } from '../../src/substrate/bus/contract/kit.js';
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

const PARTITIONS = 4;

/** A database, a topic, and how to start processes on them; everything ends with `close`. */
async function scene() {
  const [server] = servers;
  if (server === undefined) throw new Error('the server was not started');
  const database = await freshBusDatabase(server);
  const { bus, close } = await openEmbeddedBus(database);
  const names = freshNames();
  const [topic, group] = [names.topic(), names.group()];
  await bus.ensureTopics([spec(topic, PARTITIONS)]);
  const unit = database.forSchema(UNIT_SCHEMA);
  const children: BusChild[] = [];
  const { address, admin, roleSecret } = database;
  const start = (work: ChildOrder['work'], run: string, name: string = group) => {
    const place = { address, admin, roleSecret };
    const child = new BusChild({ work, place, topic, partitions: PARTITIONS, name, run, seed: children.length });
    children.push(child);
    return child.ready();
  };
  const over = async () => {
    await Promise.all(children.map((child) => child.end('SIGKILL')));
    await close();
    await database.drop();
  };
  return { bus, topic, unit, start, over };
}

async function shared(...members: readonly BusChild[]): Promise<void> {
  await eventually('the members to share all partitions', () => {
    const held = members.map(({ partitions }) => partitions);
    const all = held.flat().sort();
    return (
      all.join() === Array.from({ length: PARTITIONS }, (_, index) => index).join() &&
      Math.max(...held.map((one) => one.length)) - Math.min(...held.map((one) => one.length)) <= 1
    );
  });
}

describe('several processes on one bus', () => {
  it('share the partitions, and every record takes effect once while members come and go', async () => {
    const { bus, topic, unit, start, over } = await scene();
    try {
      const one = await start('consume', 'one');
      await shared(one);
      const writers = [await start('produce', 'w', 'left'), await start('produce', 'v', 'right')];
      const two = await start('consume', 'two');
      await shared(one, two);
      const before = (await effectsOf(unit)).length;
      await eventually('both members to have worked', () =>
        [one, two].every((child) => child.said('applied').length > 3),
      );
      await one.end('SIGTERM');
      await shared(two);
      await eventually('the group to have made progress', async () => (await effectsOf(unit)).length > before + 50);
      await Promise.all(writers.map((writer) => writer.end('SIGKILL')));
      await caughtUp(bus, unit, topic);
      const found = await verifyLogAndEffects(bus, unit, topic, writers);
      expect(found.records).toBeGreaterThan(100);
      expect([...one.said('stale'), ...two.said('stale')]).toEqual([]);
      expect([one.errors, two.errors]).toEqual(['', '']);
    } finally {
      await over();
    }
  }, 120_000);

  it('take over from a member that stands still without dying, and the sleeper finds itself out when it wakes', async () => {
    const { bus, topic, unit, start, over } = await scene();
    try {
      const [sleeper, heir] = [await start('consume', 'sleeper'), await start('consume', 'heir')];
      await shared(sleeper, heir);
      const writer = await start('produce', 'w', 'writer');
      await eventually('both to work', () => [sleeper, heir].every((child) => child.said('applied').length > 3));
      sleeper.signal('SIGSTOP');
      await eventually('the heir to have everything', () => heir.partitions.length === PARTITIONS);
      const before = (await effectsOf(unit)).length;
      await eventually('the heir to go on', async () => (await effectsOf(unit)).length > before + 20);
      sleeper.signal('SIGCONT');
      await eventually('the sleeper to notice', () => sleeper.said('lost').length > 0);
      await shared(sleeper, heir);
      await writer.end('SIGKILL');
      await caughtUp(bus, unit, topic);
      await verifyLogAndEffects(bus, unit, topic, [writer]);
    } finally {
      await over();
    }
  }, 120_000);
});
