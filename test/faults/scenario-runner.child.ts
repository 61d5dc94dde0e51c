import { writeSync } from 'node:fs';
import { runIdOf } from '../../src/modules/scenario-runner/scenario-runner.port.js';
import type { Seed } from '../../src/rails/pins.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { FilesObjects } from '../../src/substrate/objects/files.objects.js';
import { ask, makes, openRunner, requestOf } from '../contract/scenario-runner.kit.js';
import { openEmbeddedBus } from '../support/bus.js';
import { openTestServer, type TestDatabaseAddress } from '../support/database.js';
import { BASELINE } from '../support/world-builder.js';
import { schemaName } from '../../src/substrate/database/roles.js';
import { Mortal } from './scenario-runner.mortal.js';

/** What a runner that is going to be killed is told: as JSON, in its first argument. */
export interface KilledOrder {
  readonly place: TestDatabaseAddress;
  readonly folder: string;
  /** Each is a run of a world of its own. */
  readonly keys: readonly string[];
}

/** Written at once, so that whoever reads knows of each write before it begins, also when this process dies in it. */
function say(what: string): void {
  writeSync(1, `${what}\n`);
}

// The parent wrote it with JSON.stringify from this type.
const { place, folder, keys } = JSON.parse(process.argv[2] ?? '') as KilledOrder;
const { bus } = await openEmbeddedBus(place);
const objects = await FilesObjects.open(folder, new SystemClock());
const database = openTestServer(place).forSchema(schemaName('sr'));
const ground = new Mortal(Infinity, 'after', say).stand({ bus, objects, database }, false);
const runner = openRunner(ground, { engine: makes(objects, {}, 1), pace: { leaseMs: 200, idleMs: 20 } });
const requestFor = (key: string) => {
  const seed = Number.parseInt(runIdOf(key).slice(0, 12), 16).toString() as Seed;
  return requestOf(key, { world: { ...BASELINE, seed } });
};
await Promise.all(keys.map((key) => ask(runner, requestFor(key))));
say('all asked');
