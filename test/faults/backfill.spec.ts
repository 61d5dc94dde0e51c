import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { rm } from 'node:fs/promises';
import { readReceipt } from '../../src/modules/run-operate/jobs/job.runner.js';
import type { Ref } from '../../src/rails/ref.js';
import type { Bus } from '../../src/substrate/bus/bus.port.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { schemaName } from '../../src/substrate/database/roles.js';
import { FilesObjects } from '../../src/substrate/objects/files.objects.js';
import type { Objects } from '../../src/substrate/objects/objects.port.js';
import { openOperations, Shop } from '../contract/backfill.kit.js';
import { CONTROL, TRAFFIC } from '../contract/feature-plane.kit.js';
import { openEmbeddedBus } from '../support/bus.js';
import { openTestPostgres, type TestDatabase, type TestPostgres } from '../support/database.js';
import { temporaryFolder } from '../support/objects-harness.js';
import { livesOf } from '../support/stepped-child.js';
import type { BackfillOrder } from './backfill.child.js';

/** Compiled by `npm run build:test`. */
const CHILD = '.build/test/faults/backfill.child.js';
/** From one kill to the next, in steps of the job. */
const EVERY = process.env['PROBITY_FAULTS'] === 'full' ? 1 : 7;

describe('a backfill that is killed with SIGKILL', () => {
  let postgres: TestPostgres;
  let database: TestDatabase;
  let bus: Bus;
  let objects: Objects;
  let closeBus: () => Promise<void>;
  let folder = '';

  beforeAll(async () => {
    postgres = await openTestPostgres();
    database = await postgres.fresh({ schemas: ['bus', 'gov', 'ofp', 'ieg'] });
    ({ bus, close: closeBus } = await openEmbeddedBus(database));
    await bus.ensureTopics(
      [TRAFFIC, CONTROL].map((topic) => ({ topic, partitions: 2, recordBytesMax: 1_048_576, retentionMs: null })),
    );
    folder = await temporaryFolder();
    objects = await FilesObjects.open(folder, new SystemClock());
  });
  afterAll(async () => {
    await objects.close();
    await closeBus();
    await postgres.close();
    await rm(folder, { recursive: true, force: true });
  });

  async function lives(opId: string, stopAt: number): Promise<readonly string[]> {
    const { address, admin, roleSecret } = database;
    const order: BackfillOrder = { place: { address, admin, roleSecret }, folder, opId, stopAt };
    // Whoever held the lease was killed: it need not run out first here.
    await database.forSchema(schemaName('gov')).query(`update leases set expires_at = '-infinity'`);
    return await livesOf(CHILD, order);
  }

  it('between its writes: it is resumed, and there is one generation and one receipt, equal to what is served', async () => {
    const shop = new Shop(bus);
    const gov = database.forSchema(schemaName('gov'));
    const ofp = database.forSchema(schemaName('ofp'));
    const place = { bus, objects, database: () => gov };
    const ops = openOperations(place, { features: {} as never, graph: {} as never });
    let paid = 20;
    await shop.pay(0, paid);
    const ends = new Set<string>();
    const whole = (await lives('op-whole', Infinity)).length;
    for (let stopAt = 1; stopAt < whole; stopAt += EVERY) {
      await shop.pay(paid, paid + 2);
      paid += 2;
      const opId = `op-${stopAt}`;
      const first = await lives(opId, stopAt);
      ends.add(first.at(-1) ?? '');
      expect((await lives(opId, Infinity)).at(-1)).toBe('done');
      const status = await ops.service.status(opId);
      // The comparison of the next one would find an event that this one applied twice or not at all.
      expect([first.at(-1), status.state, status.detail.says]).toEqual([first.at(-1), 'COMPLETED', undefined]);
      const receipt = await readReceipt(objects, status.detail.receipt as Ref);
      expect(receipt.outputs).toMatchObject({ counted: { events: 2 * paid } });
      const { rows } = await ofp.query('select generation, state from generations where op_id = $1', [opId]);
      expect(rows).toEqual([{ generation: receipt.outputs?.['generation'], state: 'LIVE' }]);
      const kept = await ofp.query<{ generation: number }>('select distinct generation from runs');
      expect(kept.rows).toEqual([{ generation: receipt.outputs?.['generation'] }]);
      const { rows: facts } = await gov.query<{ kind: string }>('select kind from facts where op_id = $1', [opId]);
      expect(facts.map(({ kind }) => kind).sort()).toEqual(
        ['BACKFILL_COMPLETED', 'CUTOVER', 'JOB_COMPLETED', 'JOB_DECLARED', 'JOB_STARTED'].sort(),
      );
    }
    // It was killed at several kinds of places, or nothing was shown.
    expect(ends.size).toBeGreaterThanOrEqual(3);
  }, 600_000);
});
