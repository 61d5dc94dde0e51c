import type { Digest } from '../../src/rails/digest.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { schemaName } from '../../src/substrate/database/roles.js';
import { FilesObjects } from '../../src/substrate/objects/files.objects.js';
import type { ModelRegistryPort } from '../../src/modules/model-registry/model-registry.port.js';
import { type FactoryGround, openFactory, portOf, registryOn, ToldLearner } from '../contract/model-factory.kit.js';
import { openTestServer, type TestDatabaseAddress } from '../support/database.js';
import { Steps } from '../support/stepped-child.js';

/** What a factory that is going to be killed is told: as JSON, in its first argument. */
export interface FactoryOrder {
  readonly place: TestDatabaseAddress;
  readonly folder: string;
  readonly runId: Digest;
  readonly version: string;
  readonly nowMs: number;
  /** Time stands still here, so that nobody renews it. */
  readonly leaseMs: number;
  /** It says so before and after each of its writes, and stops for good at this one. */
  readonly stopAt: number;
}

const { place, folder, runId, version, nowMs, leaseMs, stopAt } = JSON.parse(process.argv[2] ?? '') as FactoryOrder;
const steps = new Steps(stopAt);

const stands = await FilesObjects.open(folder, new SystemClock());
const objects = steps.objects(stands, (key) => `put ${(key.split('/').at(-1) ?? key).replace(/-[0-9a-f]{64}/, '')}`);
const server = openTestServer(place);
const ground = {
  objects,
  database: (schema: string) => server.forSchema(schemaName(schema)),
} as unknown as FactoryGround;
const clock = new ManualClock(nowMs);
const learner = new ToldLearner(clock);
const learn = learner.learn.bind(learner);
learner.learn = (task, around) => steps.step('training', () => learn(task, around));
const registry = portOf(registryOn({ ...ground, objects: stands }, clock));
const told = {
  resolve: (...asked: Parameters<ModelRegistryPort['resolve']>) => registry.resolve(...asked),
  publish: (...asked: Parameters<ModelRegistryPort['publish']>) =>
    steps.step('publication', () => registry.publish(...asked)),
};
const factory = openFactory(ground, { clock, learner, version, leaseMs, registry: told });
const { store } = factory;
const [advance, keep] = [store.advance.bind(store), store.keep.bind(store)];
store.advance = (lease, state, detail) => steps.step(`state ${state}`, () => advance(lease, state, detail));
store.keep = (lease, stage, receipt) => steps.step(`receipt ${stage}`, () => keep(lease, stage, receipt));
// Whoever held the lease was killed: it has to run out first, by the clock of the database.
while (!(await factory.advance(runId))) await new Promise((resolve) => setTimeout(resolve, 50));
steps.done();
