import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { digestText } from './digest.js';
import { asRef, isObjectKey, objectKey, refTo } from './ref.js';

describe('an object key', () => {
  it.each([
    'a',
    'ig/quarantine/2018-04-01/attempt_1.json',
    'engine/seed=7/run_id=0f/part-00000.parquet',
    '-/_/=',
    `a/${'b'.repeat(200)}`,
    `${'a'.repeat(199)}/${'b'.repeat(200)}/${'c'.repeat(200)}/${'d'.repeat(200)}/${'e'.repeat(97)}`,
  ])('may be %s', (text) => {
    expect(objectKey(text)).toBe(text);
  });

  it.each([
    ['empty', ''],
    ['a leading slash', '/a'],
    ['a trailing slash', 'a/'],
    ['an empty segment', 'a//b'],
    ['the folder itself', 'a/./b'],
    ['the folder above', '../a'],
    ['the folder above, inside', 'a/../b'],
    ['a hidden file', 'a/.b'],
    ['upper case', 'a/B'],
    ['a blank', 'a b'],
    ['a backslash', 'a\\b'],
    ['a colon', 'c:/a'],
    ['a percent sign', 'a%2fb'],
    ['a zero byte', 'a\0b'],
    ['a line end', 'a\n'],
    ['a letter beyond ASCII', 'a/é'],
    ['a segment of 201 bytes', 'a'.repeat(201)],
    ['901 bytes', `${'a'.repeat(200)}/${'b'.repeat(200)}/${'c'.repeat(200)}/${'d'.repeat(200)}/${'e'.repeat(97)}`],
  ])('may not be %s', (_name, text) => {
    expect(() => objectKey(text)).toThrow('OBJECTS_KEY_INVALID');
  });

  it('never names anything but a place below the root, whatever is sent', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('a', 'B', '.', '/', '\\', '=', '\n') }), (text) => {
        const safe = text.split('/').every((part) => /^[a-z0-9_=-][a-z0-9._=-]*$/.test(part));
        expect(isObjectKey(text)).toBe(safe);
      }),
    );
  });

  it('is quoted and cut in the refusal', () => {
    expect(() => objectKey(`A\n${'x'.repeat(5000)}`)).toThrow(
      expect.objectContaining({ detail: expect.stringMatching(/^"A\\nx{90,98}" is not an object key$/) }),
    );
  });
});

describe('a ref', () => {
  const ref = refTo(objectKey('ig/a.json'), digestText('{}'), 2, 'application/json');

  it('is taken back as it was', () => {
    expect(asRef(JSON.parse(JSON.stringify(ref)))).toStrictEqual(ref);
    expect(ref.digest).toEqual({ algo: 'sha256', hex: digestText('{}') });
  });

  it.each<[string, object]>([
    ['another algorithm', { digest: { algo: 'md5', hex: ref.digest.hex } }],
    ['a short digest', { digest: { algo: 'sha256', hex: 'abc' } }],
    ['an upper-case digest', { digest: { algo: 'sha256', hex: ref.digest.hex.toUpperCase() } }],
    ['a negative size', { size: -1 }],
    ['half a byte', { size: 1.5 }],
    ['a size as text', { size: '2' }],
    ['a bad key', { locator: '../etc/passwd' }],
    ['no media type', { media_type: undefined }],
    ['a media type that breaks a header', { media_type: 'text/plain\r\nx-a: b' }],
    ['a member too many', { url: 'http://example.org' }],
  ])('with %s is refused', (_name, change) => {
    expect(() => asRef({ ...ref, ...change })).toThrow('VALUE_INVALID');
  });

  it('of an impossible size is not made', () => {
    expect(() => refTo(ref.locator, ref.digest.hex, -1, 'text/plain')).toThrow('VALUE_INVALID');
    expect(refTo(ref.locator, ref.digest.hex, 0, 'text/plain; charset=utf-8').size).toBe(0);
  });
});
