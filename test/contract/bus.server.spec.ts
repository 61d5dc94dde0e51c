import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Controller, type INestApplication, Module } from '@nestjs/common';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { EventPattern } from '@nestjs/microservices';
import { from, map, type Observable } from 'rxjs';
import { type BusHarness } from '../../src/substrate/bus/bus.contract.js';
import { type BusRecord, type PartitionStatus, type RecordBatch } from '../../src/substrate/bus/bus.port.js';
import {
  type BusContext,
  BusHandler,
  BusServer,
  type BusServerOptions,
  consumerId,
} from '../../src/substrate/bus/bus.server.js';
import {
  append,
  eventually,
  freshNames,
  gate,
  pause,
  records,
  spec,
  texts,
  within,
} from '../../src/substrate/bus/contract/kit.js';
import { AppliedStore } from '../../src/substrate/bus/contract/members.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import { embeddedBusHarness } from '../support/bus.js';
import { openTestPostgres, type TestPostgres } from '../support/database.js';

const servers: TestPostgres[] = [];
const harnesses: BusHarness[] = [];

beforeAll(async () => {
  const server = await openTestPostgres();
  servers.push(server);
  harnesses.push(await embeddedBusHarness(server));
});
afterAll(async () => {
  await Promise.all(harnesses.map((harness) => harness.close()));
  await Promise.all(servers.map((server) => server.close()));
});

function harnessOf(): BusHarness {
  const [harness] = harnesses;
  if (harness === undefined) throw new Error('the harness did not open');
  return harness;
}

/** What the units below do with a batch; each test gives its own. */
interface Plan {
  one: (batch: RecordBatch, context: BusContext) => unknown;
  two: (batch: RecordBatch, context: BusContext) => unknown;
}

/** Two units in one process that handle the same topic, the first a second one as well. */
async function twoUnits(more: readonly ('open' | 'twice')[] = [], gather?: BusServerOptions['gather']) {
  const { bus } = harnessOf();
  const names = freshNames();
  const [shared, own] = [names.topic('shared'), names.topic('own')];
  await bus.ensureTopics([spec(shared), spec(own)]);
  const [one, two] = [names.producer('one'), names.producer('two')];
  const stores = { one: new AppliedStore(), two: new AppliedStore() };
  const apply = (store: AppliedStore) => (batch: RecordBatch) => store.apply(batch);
  const plan: Plan = { one: apply(stores.one), two: apply(stores.two) };

  @Controller()
  class ConsumerOne {
    @BusHandler(one, shared)
    shared(batch: RecordBatch, context: BusContext): unknown {
      return plan.one(batch, context);
    }

    @BusHandler(one, own)
    async own(batch: RecordBatch): Promise<void> {
      await Promise.resolve();
      stores.one.apply(batch);
    }
  }

  @Controller()
  class ConsumerTwo {
    @BusHandler(two, shared)
    async shared(batch: RecordBatch, context: BusContext): Promise<unknown> {
      return await plan.two(batch, context);
    }
  }

  @Controller()
  class OpenToAll {
    @EventPattern(own)
    anything(_batch: unknown): void {
      throw new Error('nobody may be served by a handler without a unit');
    }
  }

  @Controller()
  class Twice {
    @BusHandler(one, own)
    again(): void {
      throw new Error('nobody may be served twice');
    }
  }

  const controllers = [
    ConsumerOne,
    ConsumerTwo,
    ...(more.includes('open') ? [OpenToAll] : []),
    ...(more.includes('twice') ? [Twice] : []),
  ];
  @Module({ controllers })
  class Units {}

  const module = await Test.createTestingModule({ imports: [Units] }).compile();
  const app: INestApplication = module.createNestApplication(new FastifyAdapter(), { logger: false });
  const connect = (role: string, store: AppliedStore) => {
    const server = new BusServer({
      bus,
      transportId: consumerId(role),
      group: names.group(),
      positions: store.positions,
      startWhenUnknown: 'low-water',
      batchRecordsMax: 10,
      ...(gather === undefined ? {} : { gather }),
    });
    app.connectMicroservice({ strategy: server }, { inheritAppConfig: true });
    return server;
  };
  return {
    app,
    bus,
    shared,
    own,
    stores,
    plan,
    connectOne: () => connect(one, stores.one),
    connectTwo: () => connect(two, stores.two),
  };
}

describe('the bus as a Nest transport', () => {
  it('delivers to each unit what its handlers name, only once it is told to start', async () => {
    const { app, bus, shared, own, stores, connectOne, connectTwo } = await twoUnits();
    const server = connectOne();
    connectTwo();
    await append(bus, shared, records('s', 25));
    await append(bus, own, records('o', 5));
    await app.init();
    await pause(300);
    expect(stores.one.count + stores.two.count).toBe(0);
    expect(server.unwrap()).toBeUndefined();

    await app.startAllMicroservices();
    await eventually('both units to have what is theirs', () => stores.one.count === 30 && stores.two.count === 25);
    expect(stores.one.applied({ topic: own, partition: 0 })).toEqual(texts(records('o', 5)));
    expect(stores.two.applied({ topic: shared, partition: 0 })).toEqual(texts(records('s', 25)));
    expect(stores.two.applied({ topic: own, partition: 0 })).toEqual([]);
    const status = await server.unwrap<{ status(): Promise<readonly PartitionStatus[]> }>().status();
    expect(status.map(({ topic, lagOffsets }) => [topic, lagOffsets]).sort()).toEqual(
      [
        [own, 0],
        [shared, 0],
      ].sort(),
    );
    await app.close();
  });

  it('lets records gather for a unit that nobody waits for, once it has caught up', async () => {
    const clock = new ManualClock();
    const { app, bus, shared, stores, plan, connectOne } = await twoUnits([], { forMs: 100, clock });
    connectOne();
    const sizes: number[] = [];
    plan.one = (batch) => {
      sizes.push(batch.records.length);
      stores.one.apply(batch);
    };
    await append(bus, shared, records('s', 25));
    await app.init();
    await app.startAllMicroservices();
    // What is there already is taken at once, batch after batch.
    await eventually('the unit to catch up', () => stores.one.count === 25);
    for (let n = 0; n < 3; n += 1) await append(bus, shared, records('s', 1, 25 + n));
    await pause(300);
    expect(sizes).toEqual([10, 10, 5]);
    await clock.advance(100);
    await eventually('the gathered records', () => stores.one.count === 28);
    expect(sizes).toEqual([10, 10, 5, 3]);
    // A unit that is told to stop does not wait for more.
    await app.close();
  });

  it('keeps the failure of one unit from the other, and delivers again to the one that failed', async () => {
    const { app, bus, shared, stores, plan, connectOne, connectTwo } = await twoUnits();
    connectOne();
    connectTwo();
    let failures = 0;
    plan.one = (batch) => {
      failures += 1;
      if (failures <= 3) throw new Error('unit one fails on purpose');
      stores.one.apply(batch);
    };
    await app.init();
    await app.startAllMicroservices();
    await append(bus, shared, records('s', 3));
    await eventually('the healthy unit', () => stores.two.count === 3);
    await append(bus, shared, records('s', 3, 3));
    await eventually('the healthy unit to go on', () => stores.two.count === 6);
    await eventually('the failing unit to recover', () => stores.one.count === 6);
    expect(failures).toBeGreaterThan(3);
    expect(stores.two.faults).toEqual([]);
    expect(stores.one.applied({ topic: shared, partition: 0 })).toEqual(texts(records('s', 6)));
    await app.close();
  });

  it('awaits promises and observables to their end before the next batch, and takes their failure for one', async () => {
    const { app, bus, shared, stores, plan, connectOne, connectTwo } = await twoUnits();
    connectOne();
    connectTwo();
    const open = { one: 0, two: 0 };
    let failed = false;
    const slowly = async (item: BusRecord) => {
      await pause(20);
      return item;
    };
    plan.one = (batch): Observable<unknown> => {
      open.one += 1;
      expect(open.one).toBe(1);
      const work = (async () => {
        const [first] = batch.records;
        if (first !== undefined) await slowly(first);
        open.one -= 1;
        if (!failed) {
          failed = true;
          throw new Error('the observable fails on purpose');
        }
        stores.one.apply(batch);
      })();
      return from(work).pipe(map(() => 'done'));
    };
    plan.two = async (batch) => {
      open.two += 1;
      expect(open.two).toBe(1);
      await Promise.all(batch.records.map(slowly));
      open.two -= 1;
      stores.two.apply(batch);
    };
    await append(bus, shared, records('s', 35));
    await app.init();
    await app.startAllMicroservices();
    await eventually('both units', () => stores.one.count === 35 && stores.two.count === 35);
    expect(failed).toBe(true);
    expect([...stores.one.faults, ...stores.two.faults]).toEqual([]);
    await app.close();
  });

  it('finishes the batch in flight when it is closed, and tells the handler by its signal', async () => {
    const { app, bus, shared, stores, plan, connectOne } = await twoUnits();
    connectOne();
    const [entered, leave] = [gate(), gate()];
    let aborted = false;
    plan.one = async (batch, { control }) => {
      control.signal.addEventListener('abort', () => {
        aborted = true;
      });
      entered.open();
      await leave.opened;
      stores.one.apply(batch);
    };
    await append(bus, shared, records('s', 3));
    await app.init();
    await app.startAllMicroservices();
    await within('the batch', entered.opened);
    let closed = false;
    const closing = app.close().then(() => {
      closed = true;
    });
    await eventually('the signal', () => aborted);
    await pause(100);
    expect(closed).toBe(false);
    leave.open();
    await within('the end', closing);
    expect(stores.one.count).toBe(3);
  });

  it.each([
    ['without @BusHandler, which every unit would get', 'open'],
    ['of a topic that the unit handles already, which would be chained', 'twice'],
  ] as const)('refuses a handler %s', async (_why, kind) => {
    const { app, connectOne } = await twoUnits([kind]);
    expect(() => connectOne()).toThrow(kind === 'open' ? /without @BusHandler/ : /two handlers/);
    await app.close();
  });

  it('refuses to start a unit that handles nothing', async () => {
    const { app, bus } = await twoUnits();
    const server = new BusServer({
      bus,
      transportId: consumerId('nobody'),
      group: freshNames().group(),
      positions: new AppliedStore().positions,
      startWhenUnknown: 'low-water',
      batchRecordsMax: 10,
    });
    app.connectMicroservice({ strategy: server }, { inheritAppConfig: true });
    await app.init();
    await expect(app.startAllMicroservices()).rejects.toThrow(/no @BusHandler/);
    await app.close();
  });
});
