import type { Digest } from '../../src/rails/digest.js';
import type { RunPins } from '../../src/rails/pins.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { schemaName } from '../../src/substrate/database/roles.js';
import { FilesObjects } from '../../src/substrate/objects/files.objects.js';
import { openShadow, type ShadowGround } from '../contract/offline-feature-shadow.kit.js';
import { AdmittedEvents } from '../contract/label-store.kit.js';
import { openEmbeddedBus } from '../support/bus.js';
import { openTestServer, type TestDatabaseAddress } from '../support/database.js';
import { Steps } from '../support/stepped-child.js';

/** What a builder that is going to be killed is told: as JSON, in its first argument. */
export interface BuilderOrder {
  readonly place: TestDatabaseAddress;
  readonly folder: string;
  readonly pins: RunPins;
  readonly planId: Digest;
  readonly nowMs: number;
  /** It says so before and after each of its writes, and stops for good at this one. */
  readonly stopAt: number;
}

const { place, folder, pins, planId, nowMs, stopAt } = JSON.parse(process.argv[2] ?? '') as BuilderOrder;
const steps = new Steps(stopAt);

const { bus } = await openEmbeddedBus(place);
const stands = await FilesObjects.open(folder, new SystemClock());
const objects = steps.objects(stands, (key) => `put ${key.split('/').at(-1) ?? key}`);
const server = openTestServer(place);
const ground = {
  ...{ bus, objects },
  database: (schema: string) => server.forSchema(schemaName(schema)),
} as unknown as ShadowGround;
const shadow = openShadow(
  ground,
  { pins, events: new AdmittedEvents() },
  { clock: new ManualClock(nowMs), workers: 2, leaseMs: 1_000 },
);
const { store } = shadow;
const [advance, keepBuilt] = [store.advance.bind(store), store.keepBuilt.bind(store)];
store.advance = (lease, state, detail) => steps.step(`state ${state}`, () => advance(lease, state, detail));
store.keepBuilt = (lease, built) => steps.step('built', () => keepBuilt(lease, built));
// Whoever held the lease was killed: it has to run out first, by the clock of the database.
while (!(await shadow.advance(planId))) await new Promise((resolve) => setTimeout(resolve, 50));
steps.done();
