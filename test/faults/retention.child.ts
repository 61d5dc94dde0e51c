import type { TopicName } from '../../src/rails/eb-ref.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { schemaName } from '../../src/substrate/database/roles.js';
import { FilesObjects } from '../../src/substrate/objects/files.objects.js';
import type { Reader } from '../../src/substrate/bus/consumption.port.js';
import { openRetention, retentionPolicy, Said } from '../contract/retention.kit.js';
import { openEmbeddedBus } from '../support/bus.js';
import { openTestServer, type TestDatabaseAddress } from '../support/database.js';
import { Steps } from '../support/stepped-child.js';

/** What a process that is going to be killed is told: as JSON, in its first argument. */
export interface RetentionOrder {
  readonly place: TestDatabaseAddress;
  readonly folder: string;
  readonly topic: TopicName;
  readonly opId: string;
  readonly readers: readonly Reader[];
  readonly nowMs: number;
  /** It says so before and after each of its writes, and stops for good at this one. */
  readonly stopAt: number;
}

const { place, folder, topic, opId, readers, nowMs, stopAt } = JSON.parse(process.argv[2] ?? '') as RetentionOrder;
const steps = new Steps(stopAt);

const { bus } = await openEmbeddedBus(place);
const objects = steps.objects(await FilesObjects.open(folder, new SystemClock()), () => 'put');
const database = openTestServer(place).forSchema(schemaName('gov'));
const said = new Said();
said.list = [...readers];
const policy = retentionPolicy([{ topic, keep_ms: 60_000, unarchived: 'kept' }]);
const trim = bus.trim.bind(bus);
bus.trim = (position) => steps.step(`trim ${position.partition}`, () => trim(position));
// By its clock everything on the log is old.
const clock = new ManualClock(nowMs);
const { runner, store } = openRetention({ ...{ database, bus, objects, clock, said, policy }, archived: [topic] });
const advance = store.advance.bind(store);
store.advance = (...args) => steps.step(`state ${args[2]}`, () => advance(...args));
await runner.work(opId);
steps.done();
