import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Objects, type PutResult } from '../objects.port.js';
import { type ObjectKey } from '../../../rails/ref.js';
import {
  BINARY,
  bytesOf,
  chunked,
  collect,
  digestOf,
  eventually,
  failing,
  freshPrefix,
  keyUnder,
  noise,
  noiseStream,
  nothingVisible,
  type ObjectsHarness,
  type RaceReport,
  refusal,
  refusalCode,
  TEXT,
} from './kit.js';

/** More than any adapter holds in memory for a stream, so that the path over the disk is taken as well. */
const LARGE_BYTES = 3 * 1024 * 1024 + 17;

/** The port has these verbs and no others: what would overwrite or delete does not compile, and is not there. */
const VERBS = ['close', 'head', 'health', 'list', 'open', 'putIfAbsent', 'read', 'readRange'] as const;
type Exactly<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;
const ONLY_THESE_VERBS: Exactly<Exclude<keyof Objects, 'kind'>, (typeof VERBS)[number]> = true;

export function putCases(harness: () => ObjectsHarness, store: () => Objects): void {
  describe('putting', () => {
    it('says NEW, then DUPLICATE for the same bytes and CONFLICT for others, and the first stands', async () => {
      const key = keyUnder(freshPrefix(), 'thing.txt');
      const first = await store().putIfAbsent(key, bytesOf('one'), TEXT);
      const ref = {
        locator: key,
        digest: { algo: 'sha256', hex: digestOf('one') },
        size: 3,
        media_type: 'text/plain',
      };
      expect(first).toEqual({ outcome: 'NEW', ref, offered: digestOf('one') });
      expect(await store().putIfAbsent(key, bytesOf('one'), TEXT)).toEqual({
        outcome: 'DUPLICATE',
        ref,
        offered: digestOf('one'),
      });
      expect(await store().putIfAbsent(key, bytesOf('two'), BINARY)).toEqual({
        outcome: 'CONFLICT',
        ref,
        offered: digestOf('two'),
      });
      expect((await store().read(first.ref)).toString()).toBe('one');
      expect(await store().head(key)).toEqual(ref);
    });

    it('knows a large stream again, and refuses another one', async () => {
      const key = keyUnder(freshPrefix(), 'large');
      const put = (body: AsyncIterable<Uint8Array>): Promise<PutResult> => store().putIfAbsent(key, body, BINARY);
      const first = await put(noiseStream(LARGE_BYTES));
      expect([first.outcome, first.ref.size]).toEqual(['NEW', LARGE_BYTES]);
      expect((await put(noiseStream(LARGE_BYTES))).outcome).toBe('DUPLICATE');
      const other = await put(noiseStream(LARGE_BYTES + 1));
      expect([other.outcome, other.ref]).toEqual(['CONFLICT', first.ref]);
      const [stored, wanted] = [await collect(store().open(first.ref)), await collect(noiseStream(LARGE_BYTES))];
      expect(Buffer.compare(stored, wanted)).toBe(0);
    });

    it('stores the same object however a stream is cut into chunks', async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.uint8Array({ maxLength: 5_000 }),
          fc.array(fc.nat({ max: 700 }), { maxLength: 12 }),
          async (bytes, sizes) => {
            const prefix = freshPrefix();
            const cut = await store().putIfAbsent(keyUnder(prefix, 'cut'), chunked(bytes, sizes), BINARY);
            const whole = await store().putIfAbsent(keyUnder(prefix, 'whole'), bytes, BINARY);
            expect([cut.offered, cut.ref.size]).toEqual([whole.offered, bytes.byteLength]);
            expect(Buffer.compare(await store().read(cut.ref), bytes)).toBe(0);
          },
        ),
        { numRuns: 15 },
      );
    });

    it('copies what a stream yields: the source may use its buffer again', async () => {
      const buffer = Buffer.alloc(4);
      async function* reusing(): AsyncGenerator<Uint8Array> {
        for (const text of ['aaaa', 'bbbb', 'cc']) {
          buffer.write(text);
          yield await Promise.resolve(buffer.subarray(0, text.length));
        }
      }
      const { ref } = await store().putIfAbsent(keyUnder(freshPrefix(), 'reused'), reusing(), TEXT);
      expect((await store().read(ref)).toString()).toBe('aaaabbbbcc');
    });

    it('takes an empty object, as bytes and as a stream', async () => {
      const prefix = freshPrefix();
      const [one, other] = await Promise.all([
        store().putIfAbsent(keyUnder(prefix, 'bytes'), Buffer.alloc(0), TEXT),
        store().putIfAbsent(keyUnder(prefix, 'stream'), chunked(Buffer.alloc(0), []), TEXT),
      ]);
      expect([one.outcome, other.outcome, one.ref.size, other.ref.size]).toEqual(['NEW', 'NEW', 0, 0]);
      expect((await store().read(one.ref)).byteLength).toBe(0);
      expect((await collect(store().open(other.ref))).byteLength).toBe(0);
      expect(await store().head(other.ref.locator)).toEqual(other.ref);
    });

    it('keeps the media type with its parameters', async () => {
      const mediaType = 'application/vnd.probity.receipt+json; charset=utf-8';
      const { ref } = await store().putIfAbsent(keyUnder(freshPrefix(), 'typed'), bytesOf('{}'), { mediaType });
      expect(ref.media_type).toBe(mediaType);
      expect((await store().head(ref.locator))?.media_type).toBe(mediaType);
    });

    it('takes the longest key, and keys that are the parents of others, in either order', async () => {
      const prefix = freshPrefix();
      const parts = ['w', 'x', 'y', 'z'].map((letter) => letter.repeat(200));
      const longest = [...parts, ''].join('/').padEnd(900 - prefix.length, 'v');
      const keys = ['a', 'a/b', 'a/b/c', 'd/e/f', 'd/e', 'd', longest];
      for (const name of keys) {
        const { outcome } = await store().putIfAbsent(keyUnder(prefix, name), bytesOf(name), TEXT);
        expect([name, outcome]).toEqual([name, 'NEW']);
      }
      const page = await store().list(prefix);
      expect(page.objects.map(({ key }) => key)).toEqual(keys.map((name) => prefix + name).sort());
      const heads = await Promise.all(keys.map((name) => store().head(keyUnder(prefix, name))));
      expect(heads.map((head) => head?.digest.hex)).toEqual(keys.map(digestOf));
    });
  });

  describe('refusing to put', () => {
    it('leaves nothing visible when the bytes are not those expected', async () => {
      const prefix = freshPrefix();
      const key = keyUnder(prefix, 'expected');
      const expect_ = { ...BINARY, expect: digestOf('something else') };
      for (const body of [bytesOf('bytes'), noiseStream(100), noiseStream(LARGE_BYTES)]) {
        const error = await refusal(store().putIfAbsent(key, body, expect_));
        expect([error.code, error.data['key']]).toEqual(['OBJECTS_DIGEST_MISMATCH', key]);
        expect(await nothingVisible(store(), prefix, key)).toBe(true);
      }
      const right = { ...BINARY, expect: digestOf('bytes') };
      expect((await store().putIfAbsent(key, bytesOf('bytes'), right)).outcome).toBe('NEW');
    });

    it('leaves nothing visible when the source fails, and hands on its error', async () => {
      const prefix = freshPrefix();
      const key = keyUnder(prefix, 'broken');
      const mishap = new Error('the source broke');
      for (const size of [0, 100, LARGE_BYTES]) {
        const put = store().putIfAbsent(key, failing(noiseStream(size), mishap), BINARY);
        await expect(put).rejects.toBe(mishap);
        expect(await nothingVisible(store(), prefix, key)).toBe(true);
      }
      expect((await store().putIfAbsent(key, bytesOf('whole'), TEXT)).outcome).toBe('NEW');
    });

    it('shows nothing of a put that is under way', async () => {
      const prefix = freshPrefix();
      const key = keyUnder(prefix, 'slow');
      let resume = (): void => undefined;
      const paused = new Promise<void>((resolve) => (resume = resolve));
      let half = false;
      async function* slow(): AsyncGenerator<Uint8Array> {
        yield* noiseStream(LARGE_BYTES);
        half = true;
        await paused;
        yield* noiseStream(10);
      }
      const put = store().putIfAbsent(key, slow(), BINARY);
      try {
        await eventually(() => half);
        expect(await nothingVisible(store(), prefix, key)).toBe(true);
      } finally {
        resume();
      }
      expect((await put).outcome).toBe('NEW');
      expect((await store().head(key))?.size).toBe(LARGE_BYTES + 10);
    });

    it('refuses what is invalid before it touches the source or the store', async () => {
      const closed = await harness().open();
      await closed.close();
      const key = keyUnder(freshPrefix(), 'fine');
      let touched = false;
      async function* source(): AsyncGenerator<Uint8Array> {
        touched = true;
        yield await Promise.resolve(bytesOf('x'));
      }
      const bad = [
        '',
        '/a',
        'a/',
        'a//b',
        '../a',
        'a/../b',
        'a/.',
        'A',
        'a b',
        'ä',
        'a!',
        'a\\b',
        'a\0',
        'x'.repeat(201),
      ];
      const codes = await Promise.all(
        // The cast is what the check is for: a key that did not come through its parser.
        bad.map((text) => refusalCode(closed.putIfAbsent(text as ObjectKey, source(), BINARY))),
      );
      expect(codes).toEqual(bad.map(() => 'OBJECTS_KEY_INVALID'));
      expect(await refusalCode(closed.head('../../etc/passwd' as ObjectKey))).toBe('OBJECTS_KEY_INVALID');
      for (const mediaType of ['', 'text', 'text/plain\r\nx: y', 'text/plän', `text/${'x'.repeat(200)}`]) {
        expect(await refusalCode(closed.putIfAbsent(key, source(), { mediaType }))).toBe('VALUE_INVALID');
      }
      expect(touched).toBe(false);
      // A valid call reaches the store, which is closed: so those above were refused before it.
      expect(await refusalCode(closed.putIfAbsent(key, bytesOf('x'), TEXT))).toBe('OBJECTS_UNAVAILABLE');
    });

    it('does not call a damaged object a DUPLICATE', async () => {
      const key = keyUnder(freshPrefix(), 'damaged');
      const bytes = noise(10_000);
      await store().putIfAbsent(key, bytes, BINARY);
      await harness().tamper(key, { how: 'flip', offset: 5_000 });
      const error = await refusal(store().putIfAbsent(key, bytes, BINARY));
      expect([error.code, error.data['key']]).toEqual(['OBJECTS_DIGEST_MISMATCH', key]);
    });

    it('has no verb that overwrites or deletes', () => {
      expect(ONLY_THESE_VERBS).toBe(true);
      const verbs = new Set<string>();
      for (
        let level: unknown = Object.getPrototypeOf(store());
        level instanceof Objects || level === Objects.prototype;
        level = Object.getPrototypeOf(level)
      ) {
        for (const name of Object.getOwnPropertyNames(level)) verbs.add(name);
      }
      verbs.delete('constructor');
      expect([...verbs].sort()).toEqual([...VERBS]);
    });
  });

  describe('racing', () => {
    it('lets one of 50 writers of the same bytes win, and the others learn that they are DUPLICATE', async () => {
      const key = keyUnder(freshPrefix(), 'same');
      const results = await Promise.all(
        Array.from({ length: 50 }, () => store().putIfAbsent(key, bytesOf('same'), TEXT)),
      );
      expect(results.filter(({ outcome }) => outcome === 'NEW')).toHaveLength(1);
      expect(results.filter(({ outcome }) => outcome === 'DUPLICATE')).toHaveLength(49);
    });

    it('tells 50 writers of two different bodies whether they are DUPLICATE or CONFLICT', async () => {
      const other = await harness().open();
      try {
        for (let round = 0; round < 4; round += 1) {
          const key = keyUnder(freshPrefix(), 'mixed');
          const results = await Promise.all(
            Array.from({ length: 50 }, (_, index) => {
              const body = noise(2_000 + 300_000 * (round % 2), index % 2);
              const source = index % 3 === 0 ? chunked(body, [1_000, 500]) : body;
              return (index % 5 === 0 ? other : store()).putIfAbsent(key, source, BINARY);
            }),
          );
          const [winner, ...more] = results.filter(({ outcome }) => outcome === 'NEW');
          expect(more).toEqual([]);
          expect(winner?.ref.digest.hex).toBe(winner?.offered);
          for (const { outcome, ref, offered } of results) {
            expect(ref).toEqual(winner?.ref);
            if (outcome !== 'NEW') expect(outcome).toBe(offered === ref.digest.hex ? 'DUPLICATE' : 'CONFLICT');
          }
          expect((await store().read(await standing(store(), key))).byteLength).toBe(winner?.ref.size);
        }
      } finally {
        await other.close();
      }
    });

    it('lets one win across processes', async () => {
      const prefix = freshPrefix();
      const keys = Array.from({ length: 40 }, (_, index) => prefix + String(index));
      const [one, same, different] = (await Promise.all([
        harness().run({ task: 'race', keys, variant: 'one' }),
        harness().run({ task: 'race', keys, variant: 'one' }),
        harness().run({ task: 'race', keys: [...keys].reverse(), variant: 'different' }),
      ])) as readonly RaceReport[];
      const different_ = [...(different?.outcomes ?? [])].reverse();
      for (const [index] of keys.entries()) {
        const outcomes = [one?.outcomes[index], same?.outcomes[index], different_[index]];
        const expected = outcomes[2] === 'NEW' ? ['CONFLICT', 'CONFLICT', 'NEW'] : ['DUPLICATE', 'NEW', 'CONFLICT'];
        expect([...outcomes.slice(0, 2).sort(), outcomes[2]]).toEqual(expected);
      }
    });
  });
}

async function standing(objects: Objects, key: ObjectKey) {
  const ref = await objects.head(key);
  if (ref === null) throw new Error(`nothing stands under ${key}`);
  return ref;
}
