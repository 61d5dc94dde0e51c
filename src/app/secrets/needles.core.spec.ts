import { randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { signingKeyText } from '../../rails/tlog/note.js';
import { generateApiKey } from '../../substrate/identity/api-key.js';
import { Needles, secretPartOf } from './needles.core.js';

const noise = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes));
const secret = fc.string({ minLength: 12, maxLength: 60, unit: 'binary' });

const WRITTEN: Readonly<Record<string, (before: Buffer, value: string, after: Buffer) => Buffer>> = {
  'as it is': (before, value, after) => Buffer.concat([before, Buffer.from(value), after]),
  'as JSON': (before, value, after) => Buffer.concat([before, Buffer.from(JSON.stringify({ x: value })), after]),
  'in hexadecimal digits': (before, value, after) =>
    Buffer.from(Buffer.concat([before, Buffer.from(value), after]).toString('hex')),
  'in base64': (before, value, after) =>
    Buffer.from(Buffer.concat([before, Buffer.from(value), after]).toString('base64')),
  'in base64url': (before, value, after) =>
    Buffer.from(Buffer.concat([before, Buffer.from(value), after]).toString('base64url')),
  'in a URL': (before, value, after) => Buffer.concat([before, Buffer.from(`?k=${encodeURIComponent(value)}&`), after]),
};

describe('a secret among bytes', () => {
  it.each(Object.keys(WRITTEN))('is found %s, wherever it begins', (form) => {
    fc.assert(
      fc.property(noise, secret, noise, (before, value, after) => {
        const written = WRITTEN[form]?.(before, value, after) ?? Buffer.alloc(0);
        expect(new Needles([{ name: 'it', value }]).in(written)).toContain('it');
      }),
    );
  });

  it('is not found where it is not, and not in its digest', () => {
    fc.assert(
      fc.property(noise, (bytes) => {
        const { token, keySha256 } = generateApiKey('operator');
        const needles = new Needles([{ name: 'it', value: token }]);
        const lacks = Buffer.concat([bytes, Buffer.from(keySha256), Buffer.from(token.slice(0, 30)), bytes]);
        expect(needles.in(lacks).size).toBe(0);
      }),
    );
  });

  it('is known by its shape where it belongs to somebody else', () => {
    const needles = new Needles([]);
    const { token } = generateApiKey('somebody');
    const jwt = ['{"alg":"ES256"}', '{"sub":"somebody"}'].map((part) => Buffer.from(part).toString('base64url'));
    const shapes = [
      ['an API key', `Authorization: Bearer ${token}`],
      ['a private key', '-----BEGIN EC PRIVATE KEY-----\nMHc'],
      ['a signed token', `${jwt.join('.')}.${randomBytes(32).toString('base64url')}`],
    ] as const;
    for (const [name, text] of shapes) expect([...needles.in(Buffer.from(text))]).toEqual([name]);
    expect(needles.in(Buffer.from('pk_operator_[redacted] -----BEGIN CERTIFICATE-----')).size).toBe(0);
  });

  it('is the part of a key that nobody may see, whatever stands in it', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (seed) => {
        const text = signingKeyText('probity/local/0a1b', seed);
        expect(Buffer.from(secretPartOf(text), 'base64').subarray(1)).toEqual(Buffer.from(seed));
      }),
    );
    const { token } = generateApiKey('operator-2');
    expect(token).toBe(`pk_operator-2_${secretPartOf(token)}`);
    expect(secretPartOf('whsec_abc')).toBe('whsec_abc');
  });

  it('is not looked for where it is too short to be told from chance', () => {
    expect(new Needles([{ name: 'it', value: 'changeme'.slice(0, 7) }])).toMatchObject({ short: ['it'] });
  });
});
