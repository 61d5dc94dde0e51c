import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  append,
  eventually,
  freshNames,
  gate,
  records,
  spec,
  texts,
  within,
} from '../../src/substrate/bus/contract/kit.js';
import { AppliedStore, GroupWatch, member } from '../../src/substrate/bus/contract/members.js';
import { openLine } from '../support/bus-line.js';
import { freshBusDatabase, openEmbeddedBus } from '../support/bus.js';
import { openTestPostgres, type TestPostgres } from '../support/database.js';

const servers: TestPostgres[] = [];
beforeAll(async () => {
  servers.push(await openTestPostgres());
});
afterAll(async () => {
  await Promise.all(servers.map((server) => server.close()));
});

const SESSION_TIMEOUT_MS = 2_000;

describe('a line to the embedded bus that goes silent without breaking', () => {
  it('makes the member give up by itself before the group gives its partitions away', async () => {
    const [server] = servers;
    if (server === undefined) throw new Error('the server was not started');
    const database = await freshBusDatabase(server);
    const line = await openLine(database.address.host, database.address.port);
    const near = await openEmbeddedBus(database);
    const far = await openEmbeddedBus(
      { ...database, address: { ...database.address, port: line.port } },
      { limits: { statementTimeoutMs: 1_000, connectTimeoutMs: 1_000 } },
    );
    const names = freshNames();
    const [topic, group] = [names.topic(), names.group()];
    await near.bus.ensureTopics([spec(topic)]);
    await append(near.bus, topic, records('r', 5));
    const [watch, store] = [new GroupWatch(), new AppliedStore()];
    const [entered, leave] = [gate(), gate()];
    const moments: string[] = [];
    const plan = { group, topics: [topic], watch, store, sessionTimeoutMs: SESSION_TIMEOUT_MS };
    const silent = member({
      ...plan,
      name: 'silent',
      bus: far.bus,
      handler: async (batch, { signal }) => {
        signal.addEventListener('abort', () => moments.push('aborted'));
        entered.open();
        await leave.opened;
        if (!signal.aborted) store.apply(batch);
      },
    });
    await silent.start();
    await within('the batch', entered.opened);
    const heir = member({
      ...plan,
      name: 'heir',
      bus: near.bus,
      onAssigned: () => {
        moments.push('assigned');
        return Promise.resolve();
      },
    });
    await heir.start();
    line.mute();
    watch.bury('silent');
    await eventually('the heir to finish', () => store.count === 5);
    expect(moments).toEqual(['aborted', 'assigned']);
    expect(store.applied({ topic, partition: 0 })).toEqual(texts(records('r', 5)));
    leave.open();
    await heir.stop();
    await within('stopping the silent member', silent.stop());
    expect([...watch.faults, ...store.faults]).toEqual([]);
    await within('closing the silent view', far.bus.close());
    await line.close();
    await far.close();
    await near.close();
    await database.drop();
  }, 90_000);
});
