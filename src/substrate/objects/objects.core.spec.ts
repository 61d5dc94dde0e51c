import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { isObjectKey, objectKey, type ObjectKey } from '../../rails/ref.js';
import { keyOfStored, storedName } from './objects.core.js';

const keys: fc.Arbitrary<ObjectKey> = fc
  .array(fc.stringMatching(/^[a-z0-9_=-][a-z0-9._=-]{0,8}$/), { minLength: 1, maxLength: 4 })
  .map((segments) => objectKey(segments.join('/')));

describe('stored names', () => {
  it('lead back to their keys, and other names to none', () => {
    fc.assert(
      fc.property(keys, (key) => {
        expect(keyOfStored(storedName(key))).toBe(key);
        // The mark is no character of a key, or one key's name could be another key.
        expect(isObjectKey(storedName(key))).toBe(false);
        expect(keyOfStored(key)).toBeNull();
        expect(keyOfStored(`${storedName(key)}!`)).toBeNull();
      }),
    );
    expect(keyOfStored('../a!')).toBeNull();
  });

  it('have the order of their keys', () => {
    fc.assert(
      fc.property(keys, keys, (a, b) => {
        expect(storedName(a) < storedName(b)).toBe(a < b);
      }),
    );
  });

  it('are never the folder of another one', () => {
    fc.assert(
      fc.property(keys, keys, (a, b) => {
        expect(storedName(b).startsWith(`${storedName(a)}/`)).toBe(false);
        expect(storedName(objectKey(`${a}/${b}`)).startsWith(`${storedName(a)}/`)).toBe(false);
      }),
    );
  });
});
