import { rm } from 'node:fs/promises';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { FilesObjects } from '../../src/substrate/objects/files.objects.js';
import { openEmbeddedBus } from '../support/bus.js';
import { openTestPostgres } from '../support/database.js';
import { temporaryFolder } from '../support/objects-harness.js';
import { scenarioRunnerContract } from './scenario-runner.contract.js';
import { ensureControlTopic } from './scenario-runner.kit.js';

scenarioRunnerContract('embedded stores', async () => {
  const postgres = await openTestPostgres();
  const database = await postgres.fresh({ schemas: ['bus', 'sr'] });
  const { bus, close } = await openEmbeddedBus(database);
  await ensureControlTopic(bus);
  const folders = await Promise.all([temporaryFolder(), temporaryFolder()]);
  const [objects, second] = await Promise.all(folders.map((folder) => FilesObjects.open(folder, new SystemClock())));
  if (objects === undefined || second === undefined) throw new Error('two stores were opened');
  return {
    database: database.forSchema('sr'),
    objects,
    second,
    bus,
    async close() {
      await close();
      await Promise.all([objects.close(), second.close(), database.drop()]);
      await postgres.close();
      await Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true })));
    },
  };
});
