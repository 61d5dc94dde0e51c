import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { SetDigest } from './set-digest.js';

function digestOf(rows: readonly string[]): string {
  const set = new SetDigest();
  for (const row of rows) set.add(row);
  return set.digest();
}

describe('the digest of a set', () => {
  const rows = fc.uniqueArray(fc.string(), { minLength: 1, maxLength: 40 });

  it('is the same in any order', () => {
    fc.assert(
      fc.property(
        rows.chain((some) => fc.tuple(fc.constant(some), fc.shuffledSubarray(some, { minLength: some.length }))),
        ([some, shuffled]) => {
          expect(digestOf(shuffled)).toBe(digestOf(some));
        },
      ),
    );
  });

  it('is another one when a row is lost, changed, added or counted twice', () => {
    fc.assert(
      fc.property(rows, fc.nat(), (some, pick) => {
        const at = pick % some.length;
        const whole = digestOf(some);
        expect(digestOf(some.filter((_, n) => n !== at))).not.toBe(whole);
        expect(digestOf(some.map((row, n) => (n === at ? `${row}!` : row)))).not.toBe(whole);
        expect(digestOf([...some, `${some.join()}+`])).not.toBe(whole);
        expect(digestOf([...some, some[at] ?? ''])).not.toBe(whole);
      }),
    );
  });
});
