import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { promisify } from 'node:util';
import { inspect } from 'node:util';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import {
  BINARY,
  bytesOf,
  collect,
  freshPrefix,
  keyUnder,
  noise,
  noiseStream,
  nothingVisible,
  refusal,
  TEXT,
} from '../../src/substrate/objects/contract/kit.js';
import { S3Objects } from '../../src/substrate/objects/s3.objects.js';
import { type S3ObjectsOptions } from '../../src/substrate/objects/s3.options.js';
import { crashRounds } from '../support/objects-crash.js';
import { s3Options, temporaryFolder, variable } from '../support/objects-harness.js';
import { LossyProxy } from '../support/objects-proxy.js';

const FULL = process.env['PROBITY_FAULTS'] === 'full';
const clock = new SystemClock();
const shell = promisify(execFile);

/** A command that takes `kill` and `start` for the server under test; a run without it fails. */
async function control(verb: 'kill' | 'start'): Promise<void> {
  const command = variable('PROBITY_TEST_S3_CONTROL');
  await shell('sh', ['-c', `exec ${command} ${verb}`]);
}

describe('s3: faults', () => {
  let folder = '';
  let options: S3ObjectsOptions;
  beforeAll(async () => {
    folder = await temporaryFolder();
    options = s3Options({ spoolFolder: folder });
  });
  afterAll(() => rm(folder, { recursive: true }));

  describe('kills', () => {
    const rounds = FULL ? 30 : 3;
    const limitMs = FULL ? 900_000 : 90_000;

    it(
      'a killed writer leaves whole objects or nothing',
      async () => {
        const totals = await crashRounds({
          spec: { kind: 's3', options },
          rounds,
          bytesMax: 3_000_000,
          openStore: () => S3Objects.open(options, clock),
        });
        expect(totals.acknowledged).toBeGreaterThan(rounds * 3);
        expect(totals.unanswered).toBeGreaterThan(rounds);
      },
      limitMs,
    );

    it(
      'a killed server loses nothing that it acknowledged, and shows nothing half',
      async () => {
        const totals = await crashRounds({
          spec: { kind: 's3', options },
          rounds,
          bytesMax: 3_000_000,
          openStore: () => S3Objects.open(options, clock),
          crash: async () => {
            await control('kill');
            await control('start');
          },
        });
        expect(totals.acknowledged).toBeGreaterThan(rounds * 3);
        expect(totals.unanswered).toBeGreaterThan(0);
      },
      limitMs,
    );

    it(
      'a stream that is being read goes on when the server is back',
      async () => {
        const store = await S3Objects.open({ ...options, attemptsMax: 12 }, clock);
        const size = 24_000_000;
        const { ref } = await store.putIfAbsent(keyUnder(freshPrefix(), 'read'), noiseStream(size), BINARY);
        let seen = 0;
        let killed = false;
        for await (const chunk of store.open(ref)) {
          seen += chunk.byteLength;
          if (!killed && seen > size / 4) {
            killed = true;
            await control('kill');
            await control('start');
          }
        }
        // It ended, so the digest over both halves was right.
        expect([seen, killed]).toEqual([size, true]);
        await store.close();
      },
      limitMs,
    );
  });

  describe('a network that loses things', () => {
    let proxy: LossyProxy;
    let store: S3Objects;
    beforeEach(async () => {
      proxy = await LossyProxy.open(variable('S3_ENDPOINT'));
      store = await S3Objects.open({ ...options, endpoint: proxy.endpoint, idleTimeoutMs: 1_000 }, clock);
    });
    afterEach(async () => {
      await store.close();
      await proxy.close();
    });

    it('says NEW, not DUPLICATE, when the object that refuses the second trial is its own', async () => {
      const bodies = [bytesOf('small'), noise(3_000_000), noiseStream(100_000), noiseStream(3_000_000)];
      for (const [index, body] of bodies.entries()) {
        proxy.lostAnswers = 1;
        const result = await store.putIfAbsent(keyUnder(freshPrefix(), 'own'), body, BINARY);
        expect([result.outcome, proxy.losses]).toEqual(['NEW', index + 1]);
        expect((await store.read(result.ref)).byteLength).toBe(result.ref.size);
      }
    });

    it('says NEW when every answer to a put is lost, as long as it can look what stands', async () => {
      for (const body of [bytesOf('small'), noiseStream(3_000_000)]) {
        proxy.lostAnswers = 100;
        const { outcome, ref } = await store.putIfAbsent(keyUnder(freshPrefix(), 'seen'), body, BINARY);
        expect([outcome, (await store.read(ref)).byteLength]).toEqual(['NEW', ref.size]);
      }
    });

    it('says DUPLICATE or CONFLICT when the object that refuses the second trial is another one', async () => {
      const key = keyUnder(freshPrefix(), 'others');
      await store.putIfAbsent(key, bytesOf('first'), TEXT);
      proxy.lostAnswers = 1;
      expect((await store.putIfAbsent(key, bytesOf('first'), TEXT)).outcome).toBe('DUPLICATE');
      proxy.lostAnswers = 1;
      expect((await store.putIfAbsent(key, bytesOf('other'), TEXT)).outcome).toBe('CONFLICT');
      expect(proxy.losses).toBe(2);
    });

    it('is UNAVAILABLE when no answer comes at all, although the object stands, and a repeat knows it again', async () => {
      const key = keyUnder(freshPrefix(), 'lost');
      proxy.losing = /^/;
      proxy.lostAnswers = 100;
      const error = await refusal(store.putIfAbsent(key, noise(500_000), BINARY));
      expect([error.code, error.retryable]).toEqual(['OBJECTS_UNAVAILABLE', true]);
      expect(proxy.losses).toBeLessThan(20);
      proxy.lostAnswers = 0;
      expect((await store.putIfAbsent(key, noise(500_000), BINARY)).outcome).toBe('DUPLICATE');
    });

    it('goes on reading where the connection broke, and gives up after a bound', async () => {
      const bytes = noise(4_000_000);
      const { ref } = await store.putIfAbsent(keyUnder(freshPrefix(), 'broken'), bytes, BINARY);
      // The first chunks of an answer are its head, so the last of these breaks before any byte of the body has come.
      proxy.breakAfterBytes = [1_000_000, 2_000_000, 300];
      expect(Buffer.compare(await collect(store.open(ref)), bytes)).toBe(0);
      expect(proxy.losses).toBe(3);
      proxy.breakAfterBytes = Array.from({ length: 100 }, () => 100);
      expect((await refusal(store.read(ref))).code).toBe('OBJECTS_UNAVAILABLE');
      expect(proxy.losses).toBeLessThan(30);
    });

    it('does not wait for ever for a server that takes requests and is silent', async () => {
      const { ref } = await store.putIfAbsent(keyUnder(freshPrefix(), 'before'), bytesOf('x'), TEXT);
      proxy.silent = true;
      const startMs = performance.now();
      const key = keyUnder(freshPrefix(), 'hung');
      const errors = await Promise.all([
        refusal(store.putIfAbsent(key, bytesOf('x'), TEXT)),
        refusal(store.putIfAbsent(key, noiseStream(3_000_000), BINARY)),
        refusal(store.read(ref)),
        refusal(store.head(key)),
        refusal(store.list('')),
      ]);
      expect(errors.map(({ code }) => code)).toEqual(errors.map(() => 'OBJECTS_UNAVAILABLE'));
      expect((await store.health()).ok).toBe(false);
      // Three trials of a second each, for the put and for the look-up after it, then health; doubled for a busy machine.
      expect(performance.now() - startMs).toBeLessThan(18_000);
    });

    it('shows nothing when its source fails, although the server is there to take it', async () => {
      const prefix = freshPrefix();
      const key = keyUnder(prefix, 'source');
      async function* source(): AsyncGenerator<Uint8Array> {
        yield* noiseStream(3_000_000);
        throw new Error('the source broke');
      }
      await expect(store.putIfAbsent(key, source(), BINARY)).rejects.toThrow('the source broke');
      expect(await nothingVisible(store, prefix, key)).toBe(true);
    });
  });

  describe('a store that refuses', () => {
    it('is UNAVAILABLE within seconds when nobody listens, and its errors tell no secret', async () => {
      const nobody = { ...options, endpoint: 'http://127.0.0.1:1' };
      const error = await refusal(S3Objects.open(nobody, clock));
      expect(error.code).toBe('OBJECTS_UNAVAILABLE');
      expectNoSecret(error, nobody);
    });

    it('is FORBIDDEN with a wrong secret, and its errors tell none', async () => {
      const wrong = { ...options, secretAccessKey: 'a-secret-that-is-wrong' };
      const error = await refusal(S3Objects.open(wrong, clock));
      expect(error.code).toBe('OBJECTS_FORBIDDEN');
      expectNoSecret(error, wrong);
      const unknown = { ...options, accessKeyId: 'nobody-known-here' };
      const other = await refusal(S3Objects.open(unknown, clock));
      expect(other.code).toBe('OBJECTS_FORBIDDEN');
      expectNoSecret(other, unknown);
    });

    it('says that there is no bucket when it may not make one', async () => {
      const missing = { ...options, bucket: `missing-${freshPrefix().slice(-7, -1)}`, createBucket: false };
      const error = await refusal(S3Objects.open(missing, clock));
      expect([error.code, error.message.includes(missing.bucket)]).toEqual(['OBJECTS_UNAVAILABLE', true]);
    });

    it('makes a bucket once when two processes start at the same moment', async () => {
      const fresh = { ...options, bucket: `fresh-${freshPrefix().slice(-7, -1)}` };
      const stores = await Promise.all(Array.from({ length: 5 }, () => S3Objects.open(fresh, clock)));
      expect((await stores[0]?.list(''))?.objects).toEqual([]);
      await Promise.all(stores.map((store) => store.close()));
    });
  });
});

function expectNoSecret(error: unknown, { secretAccessKey, accessKeyId }: S3ObjectsOptions): void {
  const everything = inspect(error, { depth: 12, showHidden: true, maxStringLength: 100_000 });
  expect(everything).not.toContain(secretAccessKey);
  expect(everything).not.toContain(accessKeyId);
  expect(everything).not.toContain('Signature=');
}
