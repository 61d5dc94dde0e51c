import { fileURLToPath } from 'node:url';
import { type Bus } from '../../src/substrate/bus/bus.port.js';
import { type BusHarness } from '../../src/substrate/bus/bus.contract.js';
import { EmbeddedBus } from '../../src/substrate/bus/embedded.bus.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { schemaName } from '../../src/substrate/database/roles.js';
import { openTestServer, type TestDatabase, type TestDatabaseAddress, type TestPostgres } from './database.js';
import { openLine } from './bus-line.js';

export const BUS_SCHEMA = schemaName('bus');
/** The schema of a unit of the tests; its tables stand in `bus-migrations`. */
export const UNIT_SCHEMA = schemaName('bus_unit');

export async function freshBusDatabase(postgres: TestPostgres): Promise<TestDatabase> {
  return await postgres.fresh({
    schemas: [BUS_SCHEMA, UNIT_SCHEMA],
    migrationsFolders: [fileURLToPath(new URL('bus-migrations', import.meta.url))],
  });
}

/** A bus as a process of its own would open it; `close` closes its connections, too. */
export async function openEmbeddedBus(
  place: TestDatabaseAddress,
  options: Parameters<typeof openTestServer>[1] = {},
): Promise<{ readonly bus: Bus; readonly close: () => Promise<void> }> {
  const server = openTestServer(place, options);
  const bus = await EmbeddedBus.open({ database: server.forSchema(BUS_SCHEMA), clock: new SystemClock() });
  return {
    bus,
    close: async () => {
      await bus.close();
      await server.close(1_000);
    },
  };
}

/** Lets `bus.close()` close what lies below it as well, for views that only know the bus. */
class OwningBus {
  static of(bus: Bus, close: () => Promise<void>): Bus {
    return new Proxy(bus, {
      get(target, name) {
        if (name === 'close') return close;
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
  }
}

export async function embeddedBusHarness(postgres: TestPostgres): Promise<BusHarness> {
  const database = await freshBusDatabase(postgres);
  const main = await openEmbeddedBus(database);
  return {
    bus: main.bus,
    unitDatabase: database.forSchema(UNIT_SCHEMA),
    async openSecond() {
      const { bus, close } = await openEmbeddedBus(database);
      return OwningBus.of(bus, close);
    },
    async openCuttable() {
      const line = await openLine(database.address.host, database.address.port);
      const { bus, close } = await openEmbeddedBus({ ...database, address: { ...database.address, port: line.port } });
      const closeAll = async () => {
        await close();
        await line.close();
      };
      return { bus: OwningBus.of(bus, closeAll), cut: line.cut };
    },
    async close() {
      await main.close();
      await database.drop();
    },
  };
}
