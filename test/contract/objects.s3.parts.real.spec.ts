import { ListMultipartUploadsCommand, type S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { rm } from 'node:fs/promises';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import {
  BINARY,
  failing,
  freshPrefix,
  keyUnder,
  noiseStream,
  nothingVisible,
} from '../../src/substrate/objects/contract/kit.js';
import { S3Objects } from '../../src/substrate/objects/s3.objects.js';
import { type S3ObjectsOptions } from '../../src/substrate/objects/s3.options.js';
import { type ObjectKey } from '../../src/rails/ref.js';
import { rawClient, s3Options, temporaryFolder, variable } from '../support/objects-harness.js';
import { LossyProxy } from '../support/objects-proxy.js';

/** Two parts and a bit. */
const SIZE = 36_000_000;

describe('s3: objects too large for one request', () => {
  let folder = '';
  let options: S3ObjectsOptions;
  let store: S3Objects;
  let client: S3Client;
  beforeAll(async () => {
    folder = await temporaryFolder();
    // In earnest this is 5 GiB.
    options = s3Options({ spoolFolder: folder, singlePutBytesMax: 1_000_000 });
    store = await S3Objects.open(options, new SystemClock());
    client = rawClient(options);
  });
  afterAll(async () => {
    await store.close();
    client.destroy();
    await rm(folder, { recursive: true });
  });

  /** Parts of uploads that were neither joined nor given up: they cost room for ever and nobody sees them. */
  async function openUploads(key: ObjectKey): Promise<number> {
    const answer = await client.send(new ListMultipartUploadsCommand({ Bucket: options.bucket, Prefix: `${key}!` }));
    return answer.Uploads?.length ?? 0;
  }

  it('are put once, known again, and kept against others', async () => {
    const key = keyUnder(freshPrefix(), 'parts');
    const first = await store.putIfAbsent(key, noiseStream(SIZE), BINARY);
    expect([first.outcome, first.ref.size]).toEqual(['NEW', SIZE]);
    expect((await store.putIfAbsent(key, noiseStream(SIZE), BINARY)).outcome).toBe('DUPLICATE');
    expect((await store.putIfAbsent(key, noiseStream(SIZE + 1), BINARY)).outcome).toBe('CONFLICT');
    expect(await store.head(key)).toEqual(first.ref);
    expect((await store.read(first.ref)).byteLength).toBe(SIZE);
  });

  it('have one winner when they are joined at the same time, and leave no parts of the others', async () => {
    const key = keyUnder(freshPrefix(), 'race');
    const results = await Promise.all(
      [0, 0, 1, 1].map((more) => store.putIfAbsent(key, noiseStream(SIZE + more), BINARY)),
    );
    const winner = results.find(({ outcome }) => outcome === 'NEW');
    expect(results.map(({ outcome }) => outcome).sort()).toEqual(['CONFLICT', 'CONFLICT', 'DUPLICATE', 'NEW']);
    expect(results.every(({ ref }) => ref.digest.hex === winner?.offered)).toBe(true);
    expect(await openUploads(key)).toBe(0);
  });

  it('leave nothing when their source fails or the bytes are not those expected', async () => {
    const prefix = freshPrefix();
    const key = keyUnder(prefix, 'failed');
    const mishap = new Error('the source broke');
    await expect(store.putIfAbsent(key, failing(noiseStream(SIZE), mishap), BINARY)).rejects.toBe(mishap);
    const other = (await store.putIfAbsent(keyUnder(freshPrefix(), 'other'), noiseStream(10), BINARY)).offered;
    await expect(store.putIfAbsent(key, noiseStream(SIZE), { ...BINARY, expect: other })).rejects.toThrow(
      'OBJECTS_DIGEST_MISMATCH',
    );
    expect(await nothingVisible(store, prefix, key)).toBe(true);
    expect(await openUploads(key)).toBe(0);
  });

  it('are NEW when the answer to the joining of their parts is lost', async () => {
    const proxy = await LossyProxy.open(variable('S3_ENDPOINT'));
    const through = await S3Objects.open({ ...options, endpoint: proxy.endpoint }, new SystemClock());
    proxy.losing = /^POST .*[?&]uploadId=/;
    proxy.lostAnswers = 1;
    const key = keyUnder(freshPrefix(), 'joined');
    expect((await through.putIfAbsent(key, noiseStream(SIZE), BINARY)).outcome).toBe('NEW');
    expect(proxy.losses).toBe(1);
    await through.close();
    await proxy.close();
  });
});
