import { createSecretKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { digestBytes } from '../../src/rails/digest.js';
import { generateApiKey } from '../../src/substrate/identity/api-key.js';
import { redact } from '../../src/substrate/telemetry/redaction.js';
import { isSecretKey, redactText } from '../../src/substrate/telemetry/redaction.patterns.js';
import { recordedTelemetry } from '../support/telemetry.js';

/** A secret that must not appear in the log, whole or in any of these parts. */
interface Secret {
  /** As it would be written into a field or a message. */
  readonly written: string;
  readonly forbidden: readonly string[];
}

const word = (alphabet: string, minLength: number, maxLength: number) =>
  fc.string({ unit: fc.constantFrom(...alphabet.split('')), minLength, maxLength });
const ALNUM = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const base64url = (minLength: number, maxLength: number) => word(`${ALNUM}-_`, minLength, maxLength);
const opaque = word(ALNUM, 16, 40).map((text) => `Zq7${text}`);

const apiKey: fc.Arbitrary<Secret> = base64url(43, 43).map((secret) => ({
  written: `pk_teller-1_${secret}`,
  forbidden: [secret.slice(0, 22), secret.slice(-16)],
}));

const jwt: fc.Arbitrary<Secret> = fc
  .tuple(fc.dictionary(word('abc', 1, 3), fc.string()), base64url(43, 86))
  .map(([claims, signature]) => {
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const payload = part({ ...claims, sub: 'alice' });
    return { written: `${part({ alg: 'ES256' })}.${payload}.${signature}`, forbidden: [payload, signature] };
  });

const bearer: fc.Arbitrary<Secret> = fc
  .tuple(fc.constantFrom('Bearer', 'bearer', 'BEARER', 'Basic'), opaque)
  .map(([scheme, secret]) => ({ written: `${scheme} ${secret}`, forbidden: [secret] }));

const connectionUrl: fc.Arbitrary<Secret> = fc
  .tuple(
    fc.constantFrom('postgres', 'postgresql', 'amqps', 'https', 'redis', 'mongodb+srv'),
    fc.constantFrom('probity', '', 'a.b%40c'),
    opaque,
    fc.constantFrom('', '@', '/x', '%2F', ':', '#', '?'),
  )
  .map(([scheme, user, secret, odd]) => ({
    written: `${scheme}://${user}:${secret}${odd}${secret}@db.internal:5432/probity?sslmode=require`,
    forbidden: [secret],
  }));

const pem: fc.Arbitrary<Secret> = fc
  .tuple(
    fc.constantFrom('PRIVATE KEY', 'RSA PRIVATE KEY', 'CERTIFICATE'),
    fc.array(word(ALNUM, 64, 64), { minLength: 1, maxLength: 5 }),
    fc.boolean(),
  )
  .map(([label, lines, ends]) => ({
    written: [`-----BEGIN ${label}-----`, ...lines, ...(ends ? [`-----END ${label}-----`] : [])].join('\n'),
    forbidden: lines,
  }));

const assigned: fc.Arbitrary<Secret> = fc
  .tuple(
    fc.constantFrom(
      'password',
      'PGPASSWORD',
      'client_secret',
      'api_key',
      'x-api-key',
      'access_token',
      'secretAccessKey',
      'private-key',
    ),
    fc.constantFrom('=', ': ', '" : "', "'='", '\\":\\"', '":"'),
    opaque,
  )
  .map(([name, is, secret]) => ({
    written: `{"${name}${is}${secret}"}`.replace('{"', is.startsWith('"') ? '{"' : '{'),
    forbidden: [secret],
  }));

const cookie: fc.Arbitrary<Secret> = fc
  .tuple(fc.constantFrom('Cookie: ', 'set-cookie: ', 'Authorization: Digest '), opaque, opaque)
  .map(([header, one, two]) => ({ written: `${header}a=${one}; b="${two}", c=1`, forbidden: [one, two] }));

/** Looks like a secret wherever it stands. */
const lookingSecret = fc.oneof(apiKey, jwt, bearer, connectionUrl, pem, assigned, cookie);

/** Is secret only because of the name above it. */
const SECRET_NAMES = [
  'authorization',
  'Authorization',
  'proxy-authorization',
  'password',
  'db_password',
  'passwd',
  'secret',
  'clientSecret',
  'token',
  'id_token',
  'accessToken',
  'api_key',
  'X-Api-Key',
  'apiKey',
  'cookie',
  'Set-Cookie',
  'private_key',
  'privateKey',
  'secret_access_key',
  'service_key',
  'passphrase',
  'credentials',
  'session_id',
  'jwt',
  'pwd',
  'refresh token',
] as const;
const namedSecret = fc.tuple(
  fc.constantFrom(...SECRET_NAMES),
  opaque,
  fc.constantFrom('text', 'list', 'object', 'number', 'bytes'),
);

class Account {
  constructor(readonly holder: unknown) {}
}
class Serialised {
  readonly #held: unknown;
  constructor(held: unknown) {
    this.#held = held;
  }
  toJSON() {
    return { held: this.#held };
  }
}

/** Puts a value somewhere into a shape that logs meet in practice. */
const WRAPPERS: readonly ((inner: unknown) => unknown)[] = [
  (inner) => ({ inner }),
  (inner) => [1, inner],
  (inner) => new Map<unknown, unknown>([['entry', inner]]),
  (inner) => new Map<unknown, unknown>([[typeof inner === 'string' ? inner : 'key', 'value']]),
  (inner) => (typeof inner === 'string' ? { [inner]: true } : { inner }),
  (inner) => new Set([inner]),
  (inner) => new Account(inner),
  (inner) => new Serialised(inner),
  (inner) => new Error('outer', { cause: inner }),
  (inner) => new Error(typeof inner === 'string' ? `failed with ${inner}` : 'failed', { cause: inner }),
  (inner) => Object.assign(new Error('with members'), { detail: inner }),
  (inner) => new AggregateError([inner], typeof inner === 'string' ? inner : 'several'),
  (inner) => Object.defineProperty({}, 'lazy', { enumerable: true, get: () => inner }),
  (inner) => Object.assign(Object.create(null) as object, { inner }),
  (inner) => (typeof inner === 'string' ? `before ${inner} after` : inner),
  (inner) => (typeof inner === 'string' ? JSON.stringify({ inner }) : inner),
  (inner) => {
    const circle: Record<string, unknown> = { inner };
    circle['self'] = circle;
    return circle;
  },
];
const shape = fc.array(fc.constantFrom(...WRAPPERS), { maxLength: 6 });

const wrapped = (value: unknown, wrappers: readonly ((inner: unknown) => unknown)[]) =>
  wrappers.reduce((inner, wrap) => wrap(inner), value);

/** What the log says about a value, by each way into a line. */
function logged(value: unknown): string {
  const { telemetry, text } = recordedTelemetry();
  telemetry.logger.info('a_field', { value });
  telemetry.logger.with({ kept: value }).error('a_kept_field');
  if (typeof value === 'object' && value !== null) telemetry.logger.warn('as_fields', value as Record<string, unknown>);
  if (typeof value === 'string') telemetry.logger.info(value);
  return text();
}

describe('redaction', () => {
  it('never writes what looks like a secret, at any depth and in any shape', () => {
    fc.assert(
      fc.property(lookingSecret, shape, ({ written, forbidden }, wrappers) => {
        const text = logged(wrapped(written, wrappers));
        for (const part of forbidden) expect(text).not.toContain(part);
      }),
      { numRuns: 1_500 },
    );
  });

  it('never writes what stands under a secret name, whatever it is', () => {
    fc.assert(
      fc.property(namedSecret, shape, ([name, secret, form], wrappers) => {
        const held = {
          text: secret,
          list: [secret],
          object: { inner: secret },
          number: 48151623,
          bytes: Buffer.from(secret),
        }[form];
        const text = logged(wrapped(form === 'list' ? new Map([[name, held]]) : { [name]: held }, wrappers));
        expect(text).not.toContain(secret);
        expect(text).not.toContain('48151623');
        expect(text).not.toContain(digestBytes(Buffer.from(secret)));
      }),
      { numRuns: 1_000 },
    );
  });

  it('writes what is no secret as it was', () => {
    const harmless = fc.record({
      event_id: fc.uuid(),
      key_id: fc.constant('teller-1'),
      access_key_id: fc.constant('AKIAIOSFODNN7EXAMPLE'),
      idempotency_key: fc.uuid(),
      partition: fc.nat(),
      pass: fc.boolean(),
      url: fc.constant('https://example.org:8443/a/b?c=d'),
      tokens_total: fc.nat(),
      mail: fc.constant('alice@example.org'),
      digest: fc.constant('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'),
      constraint: fc.constant('pk_balances'),
      nested: fc.array(fc.record({ ratio: fc.double({ noNaN: true, noDefaultInfinity: true, min: 0.1 }) })),
    });
    fc.assert(fc.property(harmless, (fields) => expect(redact(fields)).toEqual(fields)));
  });

  it('keeps the id of an API key, by which people speak of it', () => {
    const { token } = generateApiKey('teller-1');
    expect(redactText(`refused Bearer ${token}`)).toBe('refused Bearer pk_teller-1_[redacted]');
  });

  it('shows bytes as their size and digest, and large ones by size alone', () => {
    const bytes = randomBytes(100);
    const view = { bytes: 100, sha256: digestBytes(bytes) };
    expect(
      redact({ a: bytes, b: new Uint8Array(bytes), c: new DataView(bytes.buffer, bytes.byteOffset, 100) }),
    ).toEqual({ a: view, b: view, c: view });
    expect(redact(new ArrayBuffer(2_000_000))).toEqual({ bytes: 2_000_000 });
  });

  it('shows key objects of the platform by their class', () => {
    const { privateKey } = generateKeyPairSync('ed25519');
    expect(redact([privateKey, createSecretKey(randomBytes(16))])).toEqual(['[PrivateKeyObject]', '[SecretKeyObject]']);
  });

  it('goes on where something cannot be read', () => {
    const hostile = {
      get throws(): never {
        throw new Error('no');
      },
      toString: () => 'x',
      proxy: new Proxy(
        {},
        {
          ownKeys: () => {
            throw new Error('no');
          },
        },
      ),
      date: new Date(NaN),
      json: {
        toJSON() {
          throw new Error('no');
        },
      },
      fine: 1,
    };
    expect(redact(hostile)).toEqual({
      throws: '[unreadable]',
      toString: '[function]',
      proxy: '[unreadable]',
      date: '[unreadable]',
      json: '[unreadable]',
      fine: 1,
    });
  });

  it('keeps a line bounded, however much it is given', () => {
    const wide = Array.from({ length: 50 }, () =>
      Array.from({ length: 5_000 }, (_, n) => ({ n, text: 'y'.repeat(50) })),
    );
    let deep: unknown = 'bottom';
    for (let level = 0; level < 100_000; level++) deep = { deep };
    const text = logged({ wide, deep, long: 'word '.repeat(2_000_000), longWord: 'z'.repeat(2_000_000) });
    expect(text.length).toBeLessThan(1_000_000);
  });

  it('cuts a long text between words, so that no half of a URL loses its mark', () => {
    // What is replaced at the start makes room, so that the place of the cut comes into view.
    const pem = `-----BEGIN PRIVATE KEY-----${'k'.repeat(10_000)}-----END PRIVATE KEY-----`;
    const text = `${pem} ${'x '.repeat(3_000)}postgres://u:hunter2${'p'.repeat(1_000)}@h/d`;
    const shown = JSON.stringify(redact(text));
    expect(shown).toContain('x x x');
    expect(shown).not.toContain('hunter2');
  });

  it('takes time in proportion to the text, whatever the text', () => {
    const hostile = [
      'a',
      'a-',
      'password',
      '-----BEGIN A-----',
      'eyJabcdefg.',
      'http://u:',
      'bearer ',
      '\\"',
      'cookie: ',
      'pk_a-',
      'x://',
    ];
    for (const piece of hostile) {
      const text = `password="${piece.repeat(200_000 / piece.length)}`;
      const before = process.cpuUsage();
      redactText(text);
      // Processor time, which other programs do not lengthen: linear is some tens of milliseconds for 200,000
      // characters, quadratic is a minute.
      expect(process.cpuUsage(before).user / 1_000).toBeLessThan(2_000);
    }
  });

  it.each(SECRET_NAMES)('knows that %s names a secret', (name) => expect(isSecretKey(name)).toBe(true));
  it.each(['key_id', 'idempotency_key', 'author', 'partition_key', 'tokens_total', 'monkey', 'keyboard'])(
    'knows that %s does not',
    (name) => expect(isSecretKey(name)).toBe(false),
  );
});
