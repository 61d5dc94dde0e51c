import type { TopicName } from '../../src/rails/eb-ref.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { schemaName } from '../../src/substrate/database/roles.js';
import { FilesObjects } from '../../src/substrate/objects/files.objects.js';
import { openArchive } from '../contract/archive.kit.js';
import { openEmbeddedBus } from '../support/bus.js';
import { openTestServer, type TestDatabaseAddress } from '../support/database.js';
import { Steps } from '../support/stepped-child.js';

/** What a writer that is going to be killed is told: as JSON, in its first argument. */
export interface ArchiverOrder {
  readonly place: TestDatabaseAddress;
  readonly folder: string;
  readonly topic: TopicName;
  /** It says so before and after each of its writes, and stops for good at this one. */
  readonly stopAt: number;
}

const { place, folder, topic, stopAt } = JSON.parse(process.argv[2] ?? '') as ArchiverOrder;
const steps = new Steps(stopAt);

const { bus } = await openEmbeddedBus(place);
const stands = await FilesObjects.open(folder, new SystemClock());
const objects = steps.objects(stands, () => 'put');
const database = openTestServer(place).forSchema(schemaName('gov'));
const policy = { chunk_records_max: 5 };
const archive = openArchive({ database, bus, objects, clock: new SystemClock(), topics: [topic], policy });
const { store } = archive;
const [decide, index] = [store.decide.bind(store), store.index.bind(store)];
store.decide = (cut) => steps.step('cut', () => decide(cut));
store.index = (cut, of) => steps.step('row', () => index(cut, of));
await archive.all();
steps.done();
