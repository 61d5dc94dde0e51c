import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type ObjectKey } from '../../../rails/ref.js';
import { type Objects } from '../objects.port.js';
import { BINARY, freshPrefix, keyUnder, listAll, noise, refusalCode } from './kit.js';

export function listCases(store: () => Objects): void {
  const put = async (prefix: string, names: readonly string[]): Promise<void> => {
    await Promise.all(names.map((name, index) => store().putIfAbsent(keyUnder(prefix, name), noise(index), BINARY)));
  };

  describe('listing', () => {
    it('gives keys in code point order of the whole key, with their sizes', async () => {
      const prefix = freshPrefix();
      // Neighbours of the slash: a folder sorts as its name and a slash, not as its name.
      const names = ['a', 'a-b', 'a.b', 'a/b', 'a/b/c', 'a/b-c', 'a0', 'a=', 'a_', 'aa', 'b', '0', 'a/-', 'a/b.c/d'];
      await put(prefix, names);
      const page = await store().list(prefix);
      expect(page.next).toBeNull();
      expect(page.objects).toEqual(
        names.map((name, index) => ({ key: prefix + name, size: index })).sort((a, b) => (a.key < b.key ? -1 : 1)),
      );
    });

    it('gives whole segments only', async () => {
      const prefix = freshPrefix();
      await put(prefix, ['ig', 'ig/one', 'ig/two/three', 'ignored', 'ig-2/x']);
      const keys = async (under: string): Promise<string[]> => listAll(store(), prefix + under, 10);
      expect(await keys('ig/')).toEqual([`${prefix}ig/one`, `${prefix}ig/two/three`]);
      expect(await keys('ig/two/')).toEqual([`${prefix}ig/two/three`]);
      expect(await keys('nothing/')).toEqual([]);
      expect(await keys('ignored/')).toEqual([]);
      const bad = ['ig', '/', 'a//', '../', 'a/../', 'A/', 'a!/'];
      const codes = await Promise.all(bad.map((text) => refusalCode(store().list(text))));
      expect(codes).toEqual(bad.map(() => 'OBJECTS_KEY_INVALID'));
    });

    it('gives the same keys in the same order whatever the size of a page and wherever it begins', async () => {
      const segment = fc.stringMatching(/^[a-b0=_-][a-b.-]{0,2}$/);
      const names = fc.uniqueArray(
        fc.array(segment, { minLength: 1, maxLength: 3 }).map((segments) => segments.join('/')),
        { minLength: 1, maxLength: 14 },
      );
      await fc.assert(
        fc.asyncProperty(names, fc.integer({ min: 1, max: 5 }), fc.nat({ max: 13 }), async (some, limit, from) => {
          const prefix = freshPrefix();
          await put(prefix, some);
          const sorted = some.map((name) => prefix + name).sort();
          expect(await listAll(store(), prefix, limit)).toEqual(sorted);
          // Where a page begins need not be a key that is there.
          const after = keyUnder(prefix, `${(some[from % some.length] ?? '').slice(0, -1)}a`);
          const page = await store().list(prefix, { after, limit: 100 });
          expect(page.objects.map(({ key }) => key)).toEqual(sorted.filter((key) => key > after));
        }),
        { numRuns: 12 },
      );
    });

    it('goes on behind a folder whose siblings sort before its inside', async () => {
      const prefix = freshPrefix();
      // `0-` and `0-/…` begin like the folder `0/`, and sort before what it holds.
      const names = [
        '-',
        '0',
        '0-',
        ...Array.from({ length: 12 }, (_, index) => `0-/${index}`),
        '0/=',
        '=/-',
        '=a',
        '_',
      ];
      await put(prefix, names);
      const sorted = names.map((name) => prefix + name).sort();
      for (const limit of [1, 2, 5]) expect(await listAll(store(), prefix, limit)).toEqual(sorted);
    });

    it('begins anywhere, also outside the prefix', async () => {
      const prefix = freshPrefix();
      await put(prefix, ['m/one', 'm/two']);
      const after = async (name: string): Promise<number> =>
        (await store().list(`${prefix}m/`, { after: keyUnder(prefix, name) })).objects.length;
      expect([
        await after('a'),
        await after('m'),
        await after('m/one'),
        await after('m/two'),
        await after('z'),
      ]).toEqual([2, 2, 1, 0, 0]);
    });

    it('ends a page at 1,000 however many are asked for, and says whether there is more', async () => {
      const prefix = freshPrefix();
      const names = Array.from({ length: 1_003 }, (_, index) => `${index % 7}/${String(index).padStart(4, '0')}`);
      for (let done = 0; done < names.length; done += 59) await put(prefix, names.slice(done, done + 59));
      const sorted = names.map((name) => prefix + name).sort();
      const first = await store().list(prefix, { limit: 5_000 });
      expect(first.objects.map(({ key }) => key)).toEqual(sorted.slice(0, 1_000));
      expect(first.next).toBe(sorted[999]);
      const rest = await store().list(prefix, { after: first.next ?? ('' as ObjectKey) });
      expect(rest.objects.map(({ key }) => key)).toEqual(sorted.slice(1_000));
      expect(rest.next).toBeNull();
      // Exactly as many as there are: the end is known without an empty page.
      expect((await store().list(prefix, { after: first.next ?? ('' as ObjectKey), limit: 3 })).next).toBeNull();
    });

    it('refuses pages of no size', async () => {
      for (const limit of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
        expect(await refusalCode(store().list('', { limit }))).toBe('VALUE_INVALID');
      }
    });
  });
}
