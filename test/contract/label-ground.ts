import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { S3Objects } from '../../src/substrate/objects/s3.objects.js';
import { openControlGround } from '../support/control-ground.js';
import { s3Options, temporaryFolder } from '../support/objects-harness.js';
import type { LabelGround } from './label-store.kit.js';
import { scratchObjects } from './world-stream-producer.kit.js';

/** What the label store stands on, or another unit with objects: on what `npm ci` brings, or on Postgres, Kafka and S3, with a topic and a bucket of the test's own. */
export async function openLabelGround(
  kind: 'embedded' | 'external',
  schema = 'label_store',
): Promise<LabelGround & { readonly close: () => Promise<void> }> {
  const { database, bus, close } = await openControlGround(kind, schema);
  const store = kind === 'embedded' ? await scratchObjects() : await bucketObjects();
  return {
    database,
    bus,
    objects: store.objects,
    close: async () => {
      await close();
      await store.close();
    },
  };
}

async function bucketObjects(): Promise<Awaited<ReturnType<typeof scratchObjects>>> {
  const spoolFolder = await temporaryFolder();
  const bucket = `probity-labels-${randomBytes(6).toString('hex')}`;
  const objects = await S3Objects.open(s3Options({ spoolFolder, bucket }), new SystemClock());
  return {
    objects,
    close: async () => {
      await objects.close();
      await rm(spoolFolder, { recursive: true, force: true });
    },
  };
}
