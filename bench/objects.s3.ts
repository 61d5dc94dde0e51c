import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { digestBytes } from '../src/rails/digest.js';
import { SystemClock } from '../src/substrate/clock/system.clock.js';
import { noise } from '../src/substrate/objects/contract/kit.js';
import { S3Objects } from '../src/substrate/objects/s3.objects.js';
import { s3Options, temporaryFolder } from '../test/support/objects-harness.js';
import { type Bench, type BenchResult, measurePair } from './harness.js';
import { putter, RATIO_GOAL, SIZES, WARMUPS } from './objects.js';

/**
 * The S3 adapter against a plain PutObject and GetObject of the same client library, one call at a time, on the server
 * that S3_ENDPOINT, S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY name. The client hashes what it puts by itself, for its
 * signature and its checksum; what it gets it checks against a CRC-32, so one pair has the bare side take the digest too.
 */
export const bench: Bench = async (note) => {
  const folder = await temporaryFolder();
  const options = s3Options({ spoolFolder: folder, bucket: 'probity-bench' });
  const store = await S3Objects.open(options, new SystemClock());
  const bare = new BareClient(options);
  const run = randomBytes(4).toString('hex');
  const server = (await fetch(options.endpoint ?? 'https://s3.amazonaws.com/')).headers.get('server');
  note(`S3 adapter; the server calls itself ${server ?? 'nothing'}`);
  try {
    const results: BenchResult[] = [];
    for (const { label, bytes: size, runs } of SIZES) {
      const bytes = noise(size);
      const put = putter(store, `${run}/${size}`, bytes);
      const { ref } = await put();
      const key = `bare/${run}/${size}`;
      await bare.put(key, bytes);
      let count = 0;
      const plan = { runs, warmups: WARMUPS };
      results.push(
        await measurePair({
          ...plan,
          name: `put ${label}`,
          ours: put,
          bare: () => bare.put(`${key}/${(count += 1)}`, bytes),
          ratioGoal: RATIO_GOAL,
        }),
        await measurePair({ ...plan, name: `get ${label}`, ours: () => store.read(ref), bare: () => bare.get(key) }),
        await measurePair({
          ...plan,
          name: `get ${label}, bare hashes`,
          ours: () => store.read(ref),
          bare: async () => digestBytes(await bare.get(key)),
          ratioGoal: RATIO_GOAL,
        }),
      );
    }
    return results;
  } finally {
    bare.client.destroy();
    await store.close();
    await rm(folder, { recursive: true });
  }
};

/** The client as its documentation shows it. */
class BareClient {
  readonly client: S3Client;
  readonly #bucket: string;

  constructor({
    endpoint,
    region,
    bucket,
    forcePathStyle,
    accessKeyId,
    secretAccessKey,
  }: ReturnType<typeof s3Options>) {
    this.#bucket = bucket;
    this.client = new S3Client({
      ...(endpoint === undefined ? {} : { endpoint }),
      region,
      forcePathStyle,
      credentials: { accessKeyId, secretAccessKey },
    });
  }

  async put(key: string, bytes: Buffer): Promise<void> {
    await this.client.send(new PutObjectCommand({ Bucket: this.#bucket, Key: `${key}.bare`, Body: bytes }));
  }

  async get(key: string): Promise<Uint8Array> {
    const { Body } = await this.client.send(new GetObjectCommand({ Bucket: this.#bucket, Key: `${key}.bare` }));
    if (Body === undefined) throw new Error('no body came');
    return Body.transformToByteArray();
  }
}
