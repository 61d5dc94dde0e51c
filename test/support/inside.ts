import { join } from 'node:path';
import pg from 'pg';
import type { Bus } from '../../src/substrate/bus/bus.port.js';
import { EmbeddedBus } from '../../src/substrate/bus/embedded.bus.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { openEmbeddedServer } from '../../src/substrate/database/embedded/embedded.server.js';
import { schemaName } from '../../src/substrate/database/roles.js';
import { openKafka } from './kafka.js';

/** What stands behind the doors of a running platform: its log as it is, and, where it is embedded, its database as the superuser sees it. */
export interface Inside {
  readonly bus: Bus;
  /** Past every grant and trigger. */
  administrate(text: string, values?: readonly unknown[]): Promise<readonly Readonly<Record<string, unknown>>[]>;
  /** The same over so many connections at once. */
  pooled(
    connections: number,
    work: (query: (text: string, values: readonly unknown[]) => Promise<void>) => Promise<void>,
  ): Promise<void>;
  close(): Promise<void>;
}

/** @param data the data folder of an embedded platform; null: the broker that the environment names */
export async function openInside(data: string | null): Promise<Inside> {
  if (data === null) {
    const bus = await openKafka();
    return {
      bus,
      administrate: () => Promise.reject(new Error('this log stands in no database')),
      pooled: () => Promise.reject(new Error('this log stands in no database')),
      close: () => bus.close(),
    };
  }
  const clock = new SystemClock();
  const server = await openEmbeddedServer({ dataFolder: join(data, 'postgres'), component: 'test', clock });
  const bus = await EmbeddedBus.open({ database: server.forSchema(schemaName('bus')), clock });
  const { address, admin } = server.launched;
  return {
    bus,
    async administrate(text, values = []) {
      const { host, port, database } = address;
      const client = new pg.Client({ host, port, database, ...admin });
      await client.connect();
      try {
        return (await client.query<Record<string, unknown>>(text, [...values])).rows;
      } finally {
        await client.end();
      }
    },
    async pooled(connections, work) {
      const { host, port, database } = address;
      const pool = new pg.Pool({ host, port, database, ...admin, max: connections });
      try {
        await work(async (text, values) => {
          await pool.query(text, [...values]);
        });
      } finally {
        await pool.end();
      }
    },
    async close() {
      await bus.close();
      await server.close(1_000);
    },
  };
}
