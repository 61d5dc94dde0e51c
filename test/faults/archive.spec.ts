import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { rm } from 'node:fs/promises';
import { readChunk } from '../../src/modules/run-operate/archive/chunk-reader.js';
import { asTopicName, type Offset } from '../../src/rails/eb-ref.js';
import type { Bus } from '../../src/substrate/bus/bus.port.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { schemaName } from '../../src/substrate/database/roles.js';
import { FilesObjects } from '../../src/substrate/objects/files.objects.js';
import type { Objects } from '../../src/substrate/objects/objects.port.js';
import { appended, openArchive } from '../contract/archive.kit.js';
import { openEmbeddedBus } from '../support/bus.js';
import { openTestPostgres, type TestDatabase, type TestPostgres } from '../support/database.js';
import { seeded } from '../support/kafka-log.js';
import { temporaryFolder } from '../support/objects-harness.js';
import { livesOf } from '../support/stepped-child.js';
import { recordsOf } from '../support/single-pass.js';
import type { ArchiverOrder } from './archive.child.js';

/** Compiled by `npm run build:test`. */
const CHILD = '.build/test/faults/archive.child.js';
const KILLS = process.env['PROBITY_FAULTS'] === 'full' ? 100 : 12;
const LIMIT_MS = 60_000 + 5_000 * KILLS;
const SEED = Number(process.env['PROBITY_SEED'] ?? 72);
const TOPIC = asTopicName('archive-kill.v1');

describe('an archive writer that is killed with SIGKILL', () => {
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
    await bus.ensureTopics([{ topic: TOPIC, partitions: 2, recordBytesMax: 1_048_576, retentionMs: null }]);
    folder = await temporaryFolder();
    objects = await FilesObjects.open(folder, new SystemClock());
  });
  afterAll(async () => {
    await objects.close();
    await closeBus();
    await postgres.close();
    await rm(folder, { recursive: true, force: true });
  });

  async function lives(stopAt: number): Promise<readonly string[]> {
    const { address, admin, roleSecret } = database;
    const order: ArchiverOrder = { place: { address, admin, roleSecret }, folder, topic: TOPIC, stopAt };
    // Whoever held the lease was killed: it need not run out first here.
    await database.forSchema(schemaName('gov')).query(`update leases set expires_at = '-infinity'`);
    return await livesOf(CHILD, order);
  }

  it(
    `${KILLS} times between its writes (seed ${SEED}): each record is in one chunk, and no chunk is there twice`,
    async () => {
      const random = seeded(SEED);
      const ends = new Map<string, number>();
      for (let kill = 0; kill < KILLS; kill += 1) {
        // More than it can archive before it dies, so that it never ends by itself; none of it in time with its chunks.
        for (const partition of [0, 1])
          await appended(
            bus,
            TOPIC,
            partition,
            Array.from({ length: 11 + Math.floor(random() * 5) }, (_, at) => `{"kill":${kill},"at":${at}}`),
          );
        const end = (await lives(1 + Math.floor(random() * 12))).at(-1) ?? '';
        ends.set(end, (ends.get(end) ?? 0) + 1);
      }
      expect((await lives(Infinity)).at(-1)).toBe('done');
      // It was killed at several kinds of places, or nothing was shown.
      expect(ends.size).toBeGreaterThanOrEqual(4);
      const clock = new SystemClock();
      const gov = database.forSchema(schemaName('gov'));
      const archive = openArchive({ database: gov, bus, objects, clock, topics: [TOPIC] });
      const standing = await recordsOf(bus, TOPIC);
      let chunkCount = 0;
      for (const partition of [0, 1]) {
        const at = { topic: TOPIC, partition };
        const chunks = await archive.store.chunks(at, { first: 0 as Offset, next: 1e12 as Offset }, 10_000);
        chunkCount += chunks.length;
        const records: [number, string][] = [];
        for (const chunk of chunks)
          for (const { offset, value } of await readChunk(objects, chunk))
            records.push([offset, Buffer.from(value).toString()]);
        expect(records).toEqual(
          standing
            .filter((one) => one.partition === partition)
            .map(({ record }) => [record.offset, Buffer.from(record.value).toString()]),
        );
      }
      const { objects: kept } = await objects.list(`archive/${TOPIC}/`);
      expect(kept).toHaveLength(chunkCount);
      const proofs = await archive.verifications.verify({ topic: TOPIC }, new AbortController().signal);
      expect(proofs.reduce((sum, { records }) => sum + records, 0)).toBe(standing.length);
    },
    LIMIT_MS,
  );
});
