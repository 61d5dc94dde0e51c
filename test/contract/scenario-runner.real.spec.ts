import { rm } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { CONTROL_TOPIC } from '../../src/modules/scenario-runner/ready.publisher.js';
import { asTopicName } from '../../src/rails/eb-ref.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { FilesObjects } from '../../src/substrate/objects/files.objects.js';
import { S3Objects } from '../../src/substrate/objects/s3.objects.js';
import { openTestPostgres } from '../support/database.js';
import { openKafka } from '../support/kafka.js';
import { s3Options, temporaryFolder } from '../support/objects-harness.js';
import { renamed } from '../support/renamed-bus.js';
import { scenarioRunnerContract } from './scenario-runner.contract.js';
import { ensureControlTopic } from './scenario-runner.kit.js';

scenarioRunnerContract('Kafka, S3 and an external Postgres', async () => {
  const postgres = await openTestPostgres('external');
  const database = await postgres.fresh({ schemas: ['sr'] });
  const suffix = randomBytes(6).toString('hex');
  // Topics of a shared broker outlive a test, and others give them other settings.
  const control = asTopicName(CONTROL_TOPIC);
  const bus = renamed(await openKafka(), control, asTopicName(`${CONTROL_TOPIC}-${suffix}`));
  await ensureControlTopic(bus);
  const [spoolFolder, folder] = await Promise.all([temporaryFolder(), temporaryFolder()]);
  // A bucket of its own: worlds and runs of fixed names stand in it once.
  const bucket = `probity-sr-${suffix}`;
  const objects = await S3Objects.open(s3Options({ spoolFolder, bucket }), new SystemClock());
  const second = await FilesObjects.open(folder, new SystemClock());
  return {
    database: database.forSchema('sr'),
    objects,
    second,
    bus,
    async close() {
      await bus.close();
      await Promise.all([objects.close(), second.close()]);
      await database.drop();
      await postgres.close();
      await Promise.all([spoolFolder, folder].map((each) => rm(each, { recursive: true, force: true })));
    },
  };
});
