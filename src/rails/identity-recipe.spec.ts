import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { digestText, isDigest } from './digest.js';
import { defineRecipe } from './identity-recipe.js';

interface TwoTexts {
  readonly first: string;
  readonly second: string;
}
const pair = defineRecipe<TwoTexts, 'PairId'>('test.pair', 1, { first: true, second: true });

describe('an identity recipe', () => {
  it('hashes its name, its version and its fields', () => {
    expect(pair.name).toBe('test.pair.v1');
    expect(pair.derive({ second: 'b', first: 'a' })).toBe(
      digestText('{"first":"a","recipe":"test.pair.v1","second":"b"}'),
    );
  });

  it('tells apart what joining by a separator confuses', () => {
    for (const separator of [':', '|', '/', ',', '","']) {
      const one = { first: `a${separator}b`, second: 'c' };
      const other = { first: 'a', second: `b${separator}c` };
      expect(Object.values(one).join(separator)).toBe(Object.values(other).join(separator));
      expect(pair.derive(one)).not.toBe(pair.derive(other));
    }
  });

  it('gives different ids to different fields and the same to the same', () => {
    const text = fc.string({ unit: fc.constantFrom('a', ':', '"', ',', '\\'), maxLength: 4 });
    fc.assert(
      fc.property(text, text, text, text, (a, b, c, d) => {
        const same = a === c && b === d;
        expect(pair.derive({ first: a, second: b }) === pair.derive({ second: d, first: c })).toBe(same);
      }),
      { numRuns: 500 },
    );
  });

  it('gives other ids under another name or version, and for null and empty', () => {
    const ids = [
      pair.derive({ first: 'a', second: 'b' }),
      defineRecipe<TwoTexts>('test.pair', 2, { first: true, second: true }).derive({ first: 'a', second: 'b' }),
      defineRecipe<TwoTexts>('test.twins', 1, { first: true, second: true }).derive({ first: 'a', second: 'b' }),
      pair.derive({ first: 'a', second: '' }),
      defineRecipe<{ first: string; second: null }>('test.pair', 1, { first: true, second: true }).derive({
        first: 'a',
        second: null,
      }),
    ];
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.every(isDigest)).toBe(true);
  });

  it.each<[string, object]>([
    ['a field that is missing', { first: 'a' }],
    ['a field that is unknown', { first: 'a', second: 'b', third: 'c' }],
    ['an undefined field', { first: 'a', second: undefined }],
    ['another recipe name', { first: 'a', second: 'b', recipe: 'test.other.v1' }],
    ['a number that is none', { first: 'a', second: Number.NaN }],
  ])('refuses %s', (_name, fields) => {
    expect(() => pair.derive(fields as TwoTexts)).toThrow(/VALUE_INVALID|CANONICAL_FORM_INVALID/);
  });

  it.each([
    ['Test.pair', 1],
    ['pair', 1],
    ['test.pair.', 1],
    ['test.pair', 0],
    ['test.pair', 1.5],
  ])('cannot be called %s version %s', (name, version) => {
    expect(() => defineRecipe<TwoTexts>(name, version, { first: true, second: true })).toThrow('VALUE_INVALID');
  });

  it('needs fields', () => {
    expect(() => defineRecipe<object>('test.nothing', 1, {})).toThrow('VALUE_INVALID');
  });
});
