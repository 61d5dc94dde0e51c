import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { rm } from 'node:fs/promises';
import { asBasis } from '../../src/rails/basis.js';
import type { Digest } from '../../src/rails/digest.js';
import { fromEpochMs } from '../../src/rails/time.js';
import type { Bus } from '../../src/substrate/bus/bus.port.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { schemaName } from '../../src/substrate/database/roles.js';
import { FilesObjects } from '../../src/substrate/objects/files.objects.js';
import type { Objects } from '../../src/substrate/objects/objects.port.js';
import { CONTROL, TRAFFIC } from '../contract/feature-plane.kit.js';
import { DecidedRun, LABEL, openShadow, type ShadowGround } from '../contract/offline-feature-shadow.kit.js';
import { openEmbeddedBus } from '../support/bus.js';
import { openTestPostgres, type TestDatabase, type TestPostgres } from '../support/database.js';
import { temporaryFolder } from '../support/objects-harness.js';
import { livesOf } from '../support/stepped-child.js';
import type { BuilderOrder } from './datasets.child.js';

/** Compiled by `npm run build:test`. */
const CHILD = '.build/test/faults/datasets.child.js';
const NOW_MS = Date.parse('2018-06-01T00:00:00Z');
/** In full every step; otherwise some of each stage. */
const FULL = process.env['PROBITY_FAULTS'] === 'full';

describe('a builder that is killed with SIGKILL', () => {
  let postgres: TestPostgres;
  let database: TestDatabase;
  let bus: Bus;
  let objects: Objects;
  let closeBus: () => Promise<void>;
  let folder = '';
  let run: DecidedRun;
  let ground: ShadowGround;

  beforeAll(async () => {
    postgres = await openTestPostgres();
    database = await postgres.fresh({ schemas: ['bus', 'ofs', 'label_store', 'ofp', 'gov'] });
    ({ bus, close: closeBus } = await openEmbeddedBus(database));
    await bus.ensureTopics(
      [TRAFFIC, CONTROL].map((topic) => ({ topic, partitions: 2, recordBytesMax: 1_048_576, retentionMs: null })),
    );
    folder = await temporaryFolder();
    objects = await FilesObjects.open(folder, new SystemClock());
    ground = {
      ...{ bus, objects },
      database: (schema: string) => database.forSchema(schemaName(schema)),
    } as unknown as ShadowGround;
    run = await DecidedRun.open(ground);
    await shadowOf('0').labels.ready(run.pins);
    for (let n = 0; n < 12; n += 1)
      await run.pay({ id: `k-${n}`, second: n * 60, card: `card-${n % 3}` }, n % 4 === 3 ? 'stale' : 'all');
  });
  afterAll(async () => {
    await objects.close();
    await closeBus();
    await postgres.close();
    await rm(folder, { recursive: true, force: true });
  });

  const shadowOf = (version: string) =>
    openShadow(ground, run, { clock: new ManualClock(NOW_MS), version, leaseMs: 1_000 });

  /** A plan of its own, whose rows are those of every other: the release is in its id alone. */
  async function asked(version: string): Promise<Digest> {
    const { build } = await shadowOf(version).ask({ label: { ...LABEL, as_of_utc: fromEpochMs(NOW_MS) } });
    return build.dataset_manifest_id;
  }

  /** Lives until the step, and a while longer where it does not stop there. */
  async function lives(planId: Digest, stopAt: number): Promise<readonly string[]> {
    const { address, admin, roleSecret } = database;
    const place = { address, admin, roleSecret };
    const order: BuilderOrder = { place, folder, pins: run.pins, planId, nowMs: NOW_MS, stopAt };
    return await livesOf(CHILD, order);
  }

  it('at any of its writes, before or after: the next one ends it, builds nothing twice, and there is one manifest', async () => {
    const whole = await asked('1.0.0');
    const steps = await lives(whole, Infinity);
    expect(steps.filter((step) => step.startsWith('after state')).map((step) => step.slice(12))).toEqual([
      ...['PINNING', 'RUNNING', 'PUBLISH_PENDING', 'DONE'],
    ]);
    const expected = await shadowOf('1.0.0').rowsOf(whole);
    expect(expected.manifest.built.parity).toMatchObject({ outcome: 'MATCH', decisions: 12, match: 9 });
    // The first one has made the slice of labels, which the others find.
    const others = await lives(await asked('1.0.1'), Infinity);
    const places = others.slice(0, -1).map((_, at) => at + 1);
    for (const stopAt of FULL ? places : places.filter((at) => at % 3 === 1)) {
      const id = await asked(`1.1.${stopAt}`);
      const first = await lives(id, stopAt);
      expect(first).toHaveLength(stopAt);
      const second = await lives(id, Infinity);
      const wasBuilt = first.includes('after built');
      expect([stopAt, second.includes('before put rows.parquet')]).toEqual([
        stopAt,
        !wasBuilt && !first.includes('after state DONE'),
      ]);
      const shadow = shadowOf(`1.1.${stopAt}`);
      const { state, detail } = await shadow.service.status(id);
      const { manifest } = await shadow.rowsOf(id);
      const states = (await shadow.store.history(id)).map((each) => each.state);
      expect({ stopAt, state, ends: states.filter((each) => each === 'DONE').length }).toEqual({
        ...{ stopAt, state: 'DONE', ends: 1 },
      });
      expect(manifest.built.materialisations.map(({ ref, rows }) => [ref.digest.hex, rows])).toEqual(
        expected.manifest.built.materialisations.map(({ ref, rows }) => [ref.digest.hex, rows]),
      );
      expect(asBasis(manifest.plan.replay_basis)).toEqual(asBasis(expected.manifest.plan.replay_basis));
      expect(detail.manifest?.locator).toBe(`ofs/datasets/${id}/manifest.json`);
    }
  }, 600_000);
});
