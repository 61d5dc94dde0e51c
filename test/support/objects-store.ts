import { type Clock } from '../../src/substrate/clock/clock.port.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { FilesObjects } from '../../src/substrate/objects/files.objects.js';
import { type Objects } from '../../src/substrate/objects/objects.port.js';
import { S3Objects } from '../../src/substrate/objects/s3.objects.js';
import { type S3ObjectsOptions } from '../../src/substrate/objects/s3.options.js';

/** Which store a test means: plain data, so that a child process can be told of it. */
export type StoreSpec =
  { readonly kind: 'files'; readonly folder: string } | { readonly kind: 's3'; readonly options: S3ObjectsOptions };

/** A child finds its StoreSpec here: the environment, because process lists show arguments and there are secrets in it. */
export const STORE_VARIABLE = 'PROBITY_TEST_OBJECTS';

export function openStore(spec: StoreSpec, clock: Clock = new SystemClock()): Promise<Objects> {
  return spec.kind === 'files' ? FilesObjects.open(spec.folder, clock) : S3Objects.open(spec.options, clock);
}
