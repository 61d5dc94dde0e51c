import { FeaturePlaneService } from '../../src/modules/feature-plane/feature-plane.service.js';
import { FeaturePlaneStore } from '../../src/modules/feature-plane/feature-plane.store.js';
import { replayLog } from '../../src/modules/run-operate/replay.port.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import type { Database } from '../../src/substrate/database/database.port.js';
import { schemaName } from '../../src/substrate/database/roles.js';
import { FilesObjects } from '../../src/substrate/objects/files.objects.js';
import { Rebuilder } from '../../src/substrate/projection/rebuilder.js';
import { catchUp, openFeatures, openOperations } from '../contract/backfill.kit.js';
import { openEmbeddedBus } from '../support/bus.js';
import { openTestServer, type TestDatabaseAddress } from '../support/database.js';
import { Steps } from '../support/stepped-child.js';

/** What a process that is going to be killed in a backfill is told: as JSON, in its first argument. */
export interface BackfillOrder {
  readonly place: TestDatabaseAddress;
  readonly folder: string;
  readonly opId: string;
  /** It says so before and after each of its writes, and stops for good at this one. */
  readonly stopAt: number;
}

const { place, folder, opId, stopAt } = JSON.parse(process.argv[2] ?? '') as BackfillOrder;
const steps = new Steps(stopAt);
const clock = new SystemClock();
const { bus } = await openEmbeddedBus(place);
const objects = steps.objects(await FilesObjects.open(folder, clock), (key) => `put ${key.split('/').at(-1) ?? ''}`);
const server = openTestServer(place);
/** Aborted once the start is over. */
const started = new AbortController();

/** Every transaction of the job is a step; those of the start are not. */
function stepped(schema: 'ofp' | 'ieg' | 'gov'): Database {
  const database = server.forSchema(schemaName(schema));
  const plain = database.transaction.bind(database);
  return Object.assign(database, {
    transaction: async (work: never) =>
      started.signal.aborted ? await steps.step(`write ${schema}`, () => plain(work)) : await plain(work),
  });
}

const ofp = stepped('ofp');
const gov = stepped('gov');
const ground = { bus, objects, database: (schema: string) => (schema === 'ofp' ? ofp : gov) };
const plane = await openFeatures(ground);
// Few rows at a time, so that there are many moments at which it can die.
const rebuilds = new Rebuilder(
  plane.engine,
  new FeaturePlaneStore(ofp).generations,
  replayLog({ bus, objects }),
  clock,
  plane.telemetry.telemetry.logger,
  5,
);
await catchUp(bus, plane.engine);
const features = new FeaturePlaneService(plane.engine, rebuilds);
const ops = openOperations(ground, { features, graph: features as never });
await ops.declare({ target: 'ofp', cutover: 'when_equal' }, opId);
started.abort();
await ops.runner.work(opId);
steps.done();
