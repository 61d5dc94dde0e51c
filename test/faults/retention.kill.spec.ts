import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { rm } from 'node:fs/promises';
import { readChunk } from '../../src/modules/run-operate/archive/chunk-reader.js';
import { asTopicName, type Offset } from '../../src/rails/eb-ref.js';
import type { Bus } from '../../src/substrate/bus/bus.port.js';
import type { Reader } from '../../src/substrate/bus/consumption.port.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { schemaName } from '../../src/substrate/database/roles.js';
import { FilesObjects } from '../../src/substrate/objects/files.objects.js';
import type { Objects } from '../../src/substrate/objects/objects.port.js';
import { appended } from '../contract/archive.kit.js';
import { ANALYST } from '../contract/label-store.kit.js';
import { openRetention, retentionPolicy, Said } from '../contract/retention.kit.js';
import { openEmbeddedBus } from '../support/bus.js';
import { openTestPostgres, type TestDatabase, type TestPostgres } from '../support/database.js';
import { seeded } from '../support/kafka-log.js';
import { temporaryFolder } from '../support/objects-harness.js';
import { recordsOf } from '../support/single-pass.js';
import { livesOf } from '../support/stepped-child.js';
import type { RetentionOrder } from './retention.child.js';

/** Compiled by `npm run build:test`. */
const CHILD = '.build/test/faults/retention.child.js';
const KILLS = process.env['PROBITY_FAULTS'] === 'full' ? 60 : 7;
const LIMIT_MS = 60_000 + 5_000 * KILLS;
const SEED = Number(process.env['PROBITY_SEED'] ?? 75);
const TOPIC = asTopicName('retention-kill.v1');
const PARTITIONS = [0, 1, 2];

describe('a process that trims the bus and is killed with SIGKILL', () => {
  let postgres: TestPostgres;
  let database: TestDatabase;
  let bus: Bus;
  let objects: Objects;
  let closeBus: () => Promise<void>;
  let folder = '';

  beforeAll(async () => {
    postgres = await openTestPostgres();
    database = await postgres.fresh({ schemas: ['bus', 'gov'] });
    ({ bus, close: closeBus } = await openEmbeddedBus(database));
    const partitions = PARTITIONS.length;
    await bus.ensureTopics([{ topic: TOPIC, partitions, recordBytesMax: 1_048_576, retentionMs: null }]);
    folder = await temporaryFolder();
    objects = await FilesObjects.open(folder, new SystemClock());
  });
  afterAll(async () => {
    await objects.close();
    await closeBus();
    await postgres.close();
    await rm(folder, { recursive: true, force: true });
  });

  it(
    `${KILLS} times between its writes (seed ${SEED}): the next one ends the job, and nothing is gone that was not archived or that somebody needs`,
    async () => {
      const random = seeded(SEED);
      const gov = database.forSchema(schemaName('gov'));
      const nowMs = Date.now() + 3_600_000;
      const policy = retentionPolicy([{ topic: TOPIC, keep_ms: 60_000, unarchived: 'kept' }]);
      const said = new Said();
      const here = openRetention({
        ...{ database: gov, bus, objects, clock: new ManualClock(nowMs), said, policy },
        archived: [TOPIC],
      });
      const told = new Map<string, string>();
      const ends = new Set<string>();
      const lives = async (opId: string, readers: readonly Reader[], stopAt: number): Promise<readonly string[]> => {
        const { address, admin, roleSecret } = database;
        const place = { address, admin, roleSecret };
        const order: RetentionOrder = { place, folder, topic: TOPIC, opId, readers, nowMs, stopAt };
        // Whoever held the lease was killed: it need not run out first here.
        await gov.query(`update leases set expires_at = '-infinity'`);
        return await livesOf(CHILD, order);
      };
      for (let kill = 0; kill < KILLS; kill += 1) {
        for (const partition of PARTITIONS) {
          const values = Array.from({ length: 8 }, (_, at) => `{"kill":${kill},"at":${at}}`);
          await appended(bus, TOPIC, partition, values);
        }
        for (const { partition, record } of await recordsOf(bus, TOPIC))
          told.set(`${partition}/${record.offset}`, Buffer.from(record.value).toString());
        // Some of what stands there is archived, and somebody reads behind it: now this one, now that one is the first.
        await gov.query(`update leases set expires_at = '-infinity'`);
        await here.archive.writer.round(false);
        const marks = await bus.marks(TOPIC);
        const needed = marks.map(({ partition, lowWater, highWater }) => {
          const at = (lowWater + Math.floor(random() * (highWater - lowWater + 1))) as Offset;
          return { topic: TOPIC, partition, next_offset: at, restart_offset: at };
        });
        const readers: Reader[] = [{ role: 'ofp', topics: [TOPIC], answer: { positions: needed, holds: [] } }];
        const opId = `kill-${kill}`;
        await here.jobs.declare({ op_id: opId, kind: 'retention_apply', scope: {}, purpose: 'a test' }, ANALYST);
        const first = await lives(opId, readers, 1 + Math.floor(random() * 12));
        ends.add(first.at(-1) ?? '');
        if (first.at(-1) !== 'done') await lives(opId, readers, Infinity);
        expect((await here.jobs.status(opId)).state).toBe('COMPLETED');
        for (const { partition, lowWater } of await bus.marks(TOPIC)) {
          expect(lowWater).toBeLessThanOrEqual(needed[partition]?.next_offset ?? 0);
          expect(lowWater).toBeLessThanOrEqual((await here.archive.store.position({ topic: TOPIC, partition })) ?? 0);
        }
      }
      // It was killed at several kinds of places, and something was taken away, or nothing was shown.
      expect(ends.size).toBeGreaterThanOrEqual(3);
      expect((await bus.marks(TOPIC)).some(({ lowWater }) => lowWater > 0)).toBe(true);
      const found = new Map<string, string>();
      for (const partition of PARTITIONS) {
        const at = { topic: TOPIC, partition };
        for (const chunk of await here.archive.store.chunks(at, { first: 0 as Offset, next: 1e12 as Offset }, 10_000))
          for (const { offset, value } of await readChunk(objects, chunk))
            found.set(`${partition}/${offset}`, Buffer.from(value).toString());
      }
      for (const { partition, record } of await recordsOf(bus, TOPIC))
        found.set(`${partition}/${record.offset}`, Buffer.from(record.value).toString());
      expect([...found].sort()).toEqual([...told].sort());
    },
    LIMIT_MS,
  );
});
