import { writeSync } from 'node:fs';
import type { TopicName } from '../../src/rails/eb-ref.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { schemaName } from '../../src/substrate/database/roles.js';
import { FilesObjects } from '../../src/substrate/objects/files.objects.js';
import type { Objects } from '../../src/substrate/objects/objects.port.js';
import { openArchive } from '../contract/archive.kit.js';
import { openEmbeddedBus } from '../support/bus.js';
import { openTestServer, type TestDatabaseAddress } from '../support/database.js';

/** What a writer that is going to be killed is told: as JSON, in its first argument. */
export interface ArchiverOrder {
  readonly place: TestDatabaseAddress;
  readonly folder: string;
  readonly topic: TopicName;
  /** It says so before and after each of its writes, and stops for good at this one. */
  readonly stopAt: number;
}

const { place, folder, topic, stopAt } = JSON.parse(process.argv[2] ?? '') as ArchiverOrder;
const steps: string[] = [];

async function step<Result>(what: string, work: () => Promise<Result>): Promise<Result> {
  await said(`before ${what}`);
  const result = await work();
  await said(`after ${what}`);
  return result;
}

async function said(what: string): Promise<void> {
  steps.push(what);
  writeSync(1, `${what}\n`);
  if (steps.length === stopAt) await new Promise(() => setInterval(() => undefined, 60_000));
}

const { bus } = await openEmbeddedBus(place);
const stands = await FilesObjects.open(folder, new SystemClock());
const objects = new Proxy<Objects>(stands, {
  get(target, name) {
    if (name === 'putIfAbsent')
      return async (...args: Parameters<Objects['putIfAbsent']>) =>
        await step('put', () => target.putIfAbsent(...args));
    const value: unknown = Reflect.get(target, name, target);
    return typeof value === 'function' ? (value.bind(target) as unknown) : value;
  },
});
const database = openTestServer(place).forSchema(schemaName('gov'));
const policy = { chunk_records_max: 5 };
const archive = openArchive({ database, bus, objects, clock: new SystemClock(), topics: [topic], policy });
const { store } = archive;
const [decide, index] = [store.decide.bind(store), store.index.bind(store)];
store.decide = (cut) => step('cut', () => decide(cut));
store.index = (cut, of) => step('row', () => index(cut, of));
await archive.all();
writeSync(1, 'done\n');
process.exit(0);
