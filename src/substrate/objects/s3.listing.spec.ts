import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { objectKey } from '../../rails/ref.js';
import { storedName } from './objects.core.js';
import { listPage, stretchesAfter } from './s3.listing.js';

const segment = fc.stringMatching(/^[a-b0=_-][a-b0.-]{0,2}$/);
const key = fc.array(segment, { minLength: 1, maxLength: 4 }).map((segments) => segments.join('/'));
const stored = key.map((text) => storedName(objectKey(text)));
const prefixes = fc.oneof(
  fc.constant(''),
  fc.array(segment, { minLength: 1, maxLength: 2 }).map((s) => `${s.join('/')}/`),
);

describe('stretches of a listing', () => {
  it('hold each name after a name once, in order', () => {
    fc.assert(
      fc.property(fc.uniqueArray(stored, { maxLength: 40 }), prefixes, fc.option(stored), (names, prefix, after) => {
        const sorted = [...names].sort();
        const listed = stretchesAfter(prefix, after).flatMap((stretch) =>
          sorted.filter(
            (name) =>
              name.startsWith(stretch.prefix) && (stretch.startAfter === undefined || name > stretch.startAfter),
          ),
        );
        expect(listed).toEqual(sorted.filter((name) => name.startsWith(prefix) && (after === null || name > after)));
      }),
      { numRuns: 2_000 },
    );
  });

  it('begin at most one level below their prefix', () => {
    fc.assert(
      fc.property(prefixes, stored, (prefix, after) => {
        for (const { prefix: folder, startAfter } of stretchesAfter(prefix, after)) {
          if (startAfter === undefined) continue;
          expect(startAfter.startsWith(folder)).toBe(true);
          expect(startAfter.slice(folder.length)).not.toContain('/');
        }
      }),
    );
  });

  it('are few: one per level', () => {
    expect(stretchesAfter('a/', 'a/b/c!')).toEqual([
      { prefix: 'a/b/', startAfter: 'a/b/c!' },
      { prefix: 'a/', startAfter: 'a/b0' },
    ]);
    expect(stretchesAfter('', 'c!')).toEqual([{ prefix: '', startAfter: 'c!' }]);
    expect(stretchesAfter('m/', 'z!')).toEqual([]);
    expect(stretchesAfter('m/', 'm!')).toEqual([{ prefix: 'm/', startAfter: undefined }]);
  });
});

describe('a page', () => {
  it('holds what lies after a name and under a prefix, also where names of others stand between, and knows its end', async () => {
    const foreign = key.map((text) => `${text}!!`);
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.oneof(stored, foreign), { maxLength: 30 }),
        prefixes,
        fc.option(key),
        fc.integer({ min: 1, max: 6 }),
        async (names, prefix, after, limit) => {
          const sorted = [...names].sort();
          const page = await listPage(
            (stretch, namesMax) => {
              const found = sorted.filter(
                (name) => name.startsWith(stretch.prefix) && name > (stretch.startAfter ?? ''),
              );
              const entries = found.slice(0, namesMax).map((name) => ({ name, size: name.length }));
              return Promise.resolve({ entries, truncated: found.length > namesMax });
            },
            { prefix, after: after === null ? null : objectKey(after), limit },
          );
          const keys = sorted
            .filter((name) => !name.endsWith('!!'))
            .map((name) => name.slice(0, -1))
            .filter((name) => name.startsWith(prefix) && (after === null || name > after));
          expect(page.objects.map((object) => object.key)).toEqual(keys.slice(0, limit));
          // Names of others behind the last key may look like more.
          if (keys.length > limit) expect(page.next).toBe(keys[limit - 1]);
          else if (keys.length < limit) expect(page.next).toBeNull();
        },
      ),
      { numRuns: 1_000 },
    );
  });
});
