import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { rm } from 'node:fs/promises';
import type { Digest } from '../../src/rails/digest.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { schemaName } from '../../src/substrate/database/roles.js';
import { FilesObjects } from '../../src/substrate/objects/files.objects.js';
import type { Objects } from '../../src/substrate/objects/objects.port.js';
import { datasetOf, type FactoryGround, openFactory, recipeNamed } from '../contract/model-factory.kit.js';
import { openTestPostgres, type TestDatabase, type TestPostgres } from '../support/database.js';
import { temporaryFolder } from '../support/objects-harness.js';
import { livesOf } from '../support/stepped-child.js';
import type { FactoryOrder } from './model-factory.child.js';

/** Compiled by `npm run build:test`. */
const CHILD = '.build/test/faults/model-factory.child.js';
const NOW_MS = Date.parse('2026-06-01T00:00:00Z');
/** In full every step; otherwise some of each stage. */
const FULL = process.env['PROBITY_FAULTS'] === 'full';

describe('a factory that is killed with SIGKILL', () => {
  let postgres: TestPostgres;
  let database: TestDatabase;
  let objects: Objects;
  let folder = '';
  let ground: FactoryGround;
  let dataset: Digest;

  beforeAll(async () => {
    postgres = await openTestPostgres();
    database = await postgres.fresh({ schemas: ['mf', 'registry'] });
    folder = await temporaryFolder();
    objects = await FilesObjects.open(folder, new SystemClock());
    ground = {
      objects,
      database: (schema: string) => database.forSchema(schemaName(schema)),
    } as unknown as FactoryGround;
    dataset = await datasetOf(objects, 'kills');
  });
  afterAll(async () => {
    await objects.close();
    await postgres.close();
    await rm(folder, { recursive: true, force: true });
  });

  const factory = () => openFactory(ground, { clock: new ManualClock(NOW_MS), leaseMs: 1_000 });
  const asked = async (name: string): Promise<Digest> =>
    (await factory().ask(dataset, { recipe: recipeNamed(name) })).run.train_run_id;
  const versionsOf = async (bundle_id: string) =>
    (await factory().registry.store.factsOf({ bundle_id, bundle_version: 1 })).length;

  /** Lives until the step, and to the end of the run where it does not stop there. */
  async function lives(runId: Digest, stopAt: number, leaseMs = 1_000): Promise<readonly string[]> {
    const { address, admin, roleSecret } = database;
    const place = { address, admin, roleSecret };
    const order: FactoryOrder = { place, folder, runId, version: '1.0.0', nowMs: NOW_MS, leaseMs, stopAt };
    return await livesOf(CHILD, order);
  }

  it('at any of its writes, before or after: the next one ends it, trains nothing twice, and there is one version', async () => {
    const whole = await lives(await asked('whole'), Infinity);
    expect(whole.filter((step) => step.startsWith('after'))).toEqual(
      [
        ...['state RESOLVING', 'receipt RESOLVED', 'state TRAINING', 'training'],
        ...['put bundle.json', 'put report.json', 'put report.html', 'put receipt.json', 'put trained.json'],
        ...['receipt TRAINED', 'state EVAL_READY', 'state GATED', 'state PUBLISH_PENDING', 'publication'],
        ...['receipt PUBLISHED', 'state PUBLISHED'],
      ].map((step) => `after ${step}`),
    );
    const places = whole.slice(0, -1).map((_, at) => at + 1);
    for (const stopAt of FULL ? places : places.filter((at) => at % 4 === 2)) {
      const id = await asked(`stopped-${stopAt}`);
      const first = await lives(id, stopAt);
      expect(first).toHaveLength(stopAt);
      const second = await lives(id, Infinity);
      const wasTrained = first.includes('after put trained.json');
      expect([stopAt, second.includes('before training')]).toEqual([stopAt, !wasTrained]);
      const run = await factory().service.status(id);
      const begun = [...first, ...second].filter((step) => step === 'after state TRAINING').length;
      const states = (await factory().store.history(id)).map(({ state }) => state);
      expect({
        ...{ stopAt, state: run.state, trained: run.trained?.bundle.bundle_id, trainings: run.trainings },
        ...{
          ends: states.filter((each) => each === 'PUBLISHED').length,
          versions: await versionsOf(`stopped-${stopAt}`),
        },
      }).toEqual({
        ...{ stopAt, state: 'PUBLISHED', trained: `stopped-${stopAt}`, trainings: begun },
        ...{ ends: 1, versions: 1 },
      });
    }
  }, 600_000);

  it('beside another one on the same run: one of them trains, and there is one version', async () => {
    for (let n = 0; n < (FULL ? 20 : 3); n += 1) {
      const id = await asked(`both-${n}`);
      const both = await Promise.all([0, 1].map(() => lives(id, Infinity, 60_000)));
      expect(both.flat().filter((step) => step === 'before training')).toHaveLength(1);
      const { state, trainings } = await factory().service.status(id);
      expect({ n, state, trainings, versions: await versionsOf(`both-${n}`) }).toEqual({
        ...{ n, state: 'PUBLISHED', trainings: 1, versions: 1 },
      });
    }
  }, 600_000);
});
