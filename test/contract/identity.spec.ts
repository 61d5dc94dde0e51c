import { createHmac, createSign, generateKeyPairSync } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { validatorOf } from '../../src/rails/validator.js';
import { isProbityError } from '../../src/rails/errors/probity-error.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import { AccessPolicy, checkAccessPolicy } from '../../src/substrate/identity/access-policy.schema.js';
import { PolicyAccess } from '../../src/substrate/identity/access.js';
import { generateApiKey } from '../../src/substrate/identity/api-key.js';
import { PolicyAuthenticator } from '../../src/substrate/identity/policy.authenticator.js';
import { servicePrincipal } from '../../src/substrate/identity/principals.js';
import { accessPolicy, ISSUER, issuerPolicy } from '../support/identity.js';
import { type IssuerKey, issuerKey, type JwksServer, openJwksServer, sign } from '../support/jwks-server.js';
import { recordedTelemetry } from '../support/telemetry.js';
import { eventually } from '../support/eventually.js';
import { type CredentialKind, identityContract } from './identity.contract.js';

const NOT_BEFORE = '2026-03-01T00:00:00Z';
const EXPIRES = '2026-03-01T01:00:00Z';
const NOT_BEFORE_MS = Date.parse(NOT_BEFORE);
const EXPIRES_MS = Date.parse(EXPIRES);

/** Another character in one place. */
function flip(text: string, at: number): string {
  const index = at < 0 ? text.length + at : at;
  return `${text.slice(0, index)}${text[index] === 'A' ? 'B' : 'A'}${text.slice(index + 1)}`;
}

identityContract('API keys', () => {
  const { token, keySha256 } = generateApiKey('reader-1');
  const policy = accessPolicy({
    api_keys: [
      {
        key_id: 'reader-1',
        key_sha256: keySha256,
        actor_id: 'SYSTEM::reporting',
        roles: ['reader'],
        not_before: NOT_BEFORE,
        expires: EXPIRES,
      },
    ],
  });
  const clock = new ManualClock(NOT_BEFORE_MS);
  const telemetry = recordedTelemetry('probity', { clock });
  const kind: CredentialKind = {
    authenticator: new PolicyAuthenticator(policy, { clock, logger: telemetry.telemetry.logger }),
    clock,
    telemetry,
    good: token,
    notBeforeMs: NOT_BEFORE_MS,
    expiresMs: EXPIRES_MS,
    expected: {
      actor: { actor_id: 'SYSTEM::reporting' as never, source_type: 'SYSTEM', auth_mode: 'API_KEY' },
      keyId: 'reader-1',
      roles: ['reader'],
    },
    tampered: [
      flip(token, 'pk_reader-1_'.length),
      flip(token, -10),
      token.slice(0, -1),
      `${token}A`,
      token.replace('reader-1', 'reader-2'),
    ],
    stranger: generateApiKey('stranger').token,
    secrets: [token.slice(-43)],
    close: () => Promise.resolve(),
  };
  return Promise.resolve(kind);
});

const CLAIMS = {
  iss: ISSUER,
  aud: ['other', 'probity'],
  sub: 'alice',
  nbf: NOT_BEFORE_MS / 1_000,
  exp: EXPIRES_MS / 1_000,
  realm_access: { roles: ['fraud-reader', 'unmapped', '__proto__', 5] },
};

identityContract('OIDC tokens', async () => {
  const key = await issuerKey('k1');
  const server = await openJwksServer([key]);
  const clock = new ManualClock(NOT_BEFORE_MS);
  const telemetry = recordedTelemetry('probity', { clock });
  const policy = accessPolicy({ oidc: [issuerPolicy({ jwks_uri: server.uri })] });
  const good = await sign(key, CLAIMS);
  const [header = '', payload = '', signature = ''] = good.split('.');
  const mightier = Buffer.from(JSON.stringify({ ...CLAIMS, realm_access: { roles: ['fraud-lead'] } })).toString(
    'base64url',
  );
  return {
    authenticator: new PolicyAuthenticator(policy, { clock, logger: telemetry.telemetry.logger }),
    clock,
    telemetry,
    good,
    notBeforeMs: NOT_BEFORE_MS,
    expiresMs: EXPIRES_MS,
    expected: {
      actor: { actor_id: 'HUMAN::bank/alice' as never, source_type: 'HUMAN', auth_mode: 'OIDC' },
      keyId: `${ISSUER}#alice`,
      roles: ['reader'],
    },
    tampered: [
      `${header}.${mightier}.${signature}`,
      `${header}.${payload}.${flip(signature, 10)}`,
      `${header}.${payload}.`,
      `${header}.${payload}`,
      `${header}.${flip(payload, 20)}.${signature}`,
    ],
    stranger: await sign(await issuerKey('k1'), CLAIMS),
    secrets: [payload, signature],
    close: () => server.stop(),
  };
});

describe('OIDC tokens', () => {
  let clock: ManualClock;
  let key: IssuerKey;
  let server: JwksServer;
  let authenticator: PolicyAuthenticator;
  let telemetry: ReturnType<typeof recordedTelemetry>;

  beforeEach(async () => {
    clock = new ManualClock(NOT_BEFORE_MS);
    telemetry = recordedTelemetry('probity', { clock });
    key = await issuerKey('k1');
    server = await openJwksServer([key]);
    authenticator = open(accessPolicy({ oidc: [issuerPolicy({ jwks_uri: server.uri })] }));
  });
  afterEach(() => server.stop());

  const open = (policy: AccessPolicy) => new PolicyAuthenticator(policy, { clock, logger: telemetry.telemetry.logger });
  const outcome = (token: string, by = authenticator): Promise<string> =>
    by.authenticate({ authorization: `Bearer ${token}` }).then(
      ({ roles }) => `OK ${roles.join(',')}`,
      (error: unknown) => (isProbityError(error) ? error.code : Promise.reject(error as Error)),
    );
  const lastReason = () => telemetry.lines().at(-1)?.['reason'];
  const segment = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

  it.each([
    ['another audience', { aud: 'elsewhere' }, 'token_claim'],
    ['no audience', { aud: undefined }, 'token_claim'],
    ['another issuer', { iss: 'https://evil.example.org' }, 'token_issuer_unknown'],
    ['an issuer that is the same but for a slash', { iss: `${ISSUER}/` }, 'token_issuer_unknown'],
    ['no issuer', { iss: undefined }, 'token_issuer_unknown'],
    ['no expiry', { exp: undefined }, 'token_claim'],
    ['no subject', { sub: undefined }, 'token_claim'],
    ['a subject with a line break', { sub: 'alice\nHUMAN::root' }, 'token_claim'],
    ['an empty subject', { sub: '' }, 'token_claim'],
  ])('refuses a token of %s', async (_, change, reason) => {
    expect(await outcome(await sign(key, { ...CLAIMS, ...change } as typeof CLAIMS))).toBe('AUTHN_FAILED');
    expect(lastReason()).toBe(reason);
  });

  it('refuses alg none, signed by nobody', async () => {
    for (const alg of ['none', 'None', 'NONE']) {
      expect(await outcome(`${segment({ alg, kid: 'k1' })}.${segment(CLAIMS)}.`)).toBe('AUTHN_FAILED');
    }
  });

  it('refuses HS256 with the public key as the secret', async () => {
    for (const secret of [key.publicPem, JSON.stringify(key.publicJwk)]) {
      const signed = `${segment({ alg: 'HS256', kid: 'k1' })}.${segment(CLAIMS)}`;
      const mac = createHmac('sha256', secret).update(signed).digest('base64url');
      expect(await outcome(`${signed}.${mac}`)).toBe('AUTHN_FAILED');
      expect(lastReason()).toBe('token_algorithm');
    }
  });

  it('refuses an algorithm that the policy does not list, though the key could', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'rsa' } as IssuerKey['publicJwk'];
    server.keys = [{ ...key, publicJwk: jwk }];
    const signed = (alg: string, hash: string) => {
      const text = `${segment({ alg, kid: 'rsa' })}.${segment(CLAIMS)}`;
      return `${text}.${createSign(hash).update(text).sign(privateKey, 'base64url')}`;
    };
    expect(await outcome(signed('RS256', 'sha256'))).toBe('OK reader');
    expect(await outcome(signed('RS512', 'sha512'))).toBe('AUTHN_FAILED');
  });

  it('refuses a key that the token brings along', async () => {
    const own = await issuerKey('k1');
    const header = { jwk: own.publicJwk, jku: 'http://127.0.0.1:1/jwks', x5u: 'http://127.0.0.1:1/' };
    expect(await outcome(await sign(own, CLAIMS, header))).toBe('AUTHN_FAILED');
  });

  it('finds roles in a claim of words, and gives none for what is not mapped', async () => {
    const policy = accessPolicy({ oidc: [{ ...issuerPolicy({ jwks_uri: server.uri }), roles_claim: ['scope'] }] });
    const by = open(policy);
    expect(await outcome(await sign(key, { ...CLAIMS, scope: 'openid fraud-lead fraud-reader' }), by)).toBe(
      'OK reader,writer',
    );
    expect(await outcome(await sign(key, { ...CLAIMS, scope: 'openid constructor toString' }), by)).toBe('OK ');
    expect(await outcome(await sign(key, { ...CLAIMS, scope: { length: 1 } }), by)).toBe('OK ');
    expect(await outcome(await sign(key, CLAIMS), by)).toBe('OK ');
  });

  it('verifies with keys that stand in the policy, without asking anybody', async () => {
    const { kid, crv, x, y } = key.publicJwk;
    const jwks = { keys: [{ kty: 'EC' as const, kid: kid ?? '', crv: crv ?? '', x: x ?? '', y: y ?? '' }] };
    expect(await outcome(await sign(key, CLAIMS), open(accessPolicy({ oidc: [issuerPolicy({ jwks })] })))).toBe(
      'OK reader',
    );
    expect(server.requests).toBe(0);
  });

  it('allows for the tolerance that the policy grants, and no more', async () => {
    const by = open(accessPolicy({ oidc: [{ ...issuerPolicy({ jwks_uri: server.uri }), clock_tolerance_s: 30 }] }));
    const token = await sign(key, CLAIMS);
    clock.stepWall(EXPIRES_MS + 29_000 - clock.nowMs());
    expect(await outcome(token, by)).toBe('OK reader');
    clock.stepWall(1_000);
    expect(await outcome(token, by)).toBe('AUTHN_FAILED');
  });

  describe('and the keys of the issuer', () => {
    const DAY_MS = 24 * 3_600_000;
    let token: string;
    beforeEach(async () => {
      token = await sign(key, { ...CLAIMS, exp: (EXPIRES_MS + 10 * DAY_MS) / 1_000 });
    });
    const cool = () => clock.advance(30_000);

    it('are fetched once for many', async () => {
      expect(await Promise.all(Array.from({ length: 20 }, () => outcome(token)))).toEqual(Array(20).fill('OK reader'));
      expect(await outcome(token)).toBe('OK reader');
      expect(server.requests).toBe(1);
    });

    it('may be rotated: a new key id is looked up, and an old key is gone after the next fetch', async () => {
      expect(await outcome(token)).toBe('OK reader');
      const next = await issuerKey('k2');
      server.keys = [next];
      await cool();
      expect(await outcome(await sign(next, CLAIMS))).toBe('OK reader');
      expect(await outcome(token)).toBe('AUTHN_FAILED');
      expect(server.requests).toBe(2);
    });

    it('are not asked for again with each key id that somebody makes up', async () => {
      expect(await outcome(token)).toBe('OK reader');
      await cool();
      for (let n = 0; n < 20; n++)
        expect(await outcome(await sign(key, CLAIMS, { kid: `made-up-${n}` }))).toBe('AUTHN_FAILED');
      expect(server.requests).toBe(2);
    });

    it.each(['error', 'garbage', 'redirect', 'endless'] as const)(
      'cannot be had (%s): nobody can tell, and soon it is tried again',
      async (fault) => {
        server.fault = fault;
        expect(await outcome(token)).toBe('AUTHN_UNAVAILABLE');
        expect(await outcome(token)).toBe('AUTHN_UNAVAILABLE');
        expect(server.requests).toBe(1);
        server.fault = 'none';
        await clock.advance(1_000);
        expect(await outcome(token)).toBe('OK reader');
      },
    );

    it('are not waited for beyond the time-out', async () => {
      server.fault = 'silence';
      const waiting = outcome(token);
      await eventually(() => server.requests);
      await clock.advance(3_000);
      expect(await waiting).toBe('AUTHN_UNAVAILABLE');
    });

    it('go on while the issuer is down, for a day', async () => {
      expect(await outcome(token)).toBe('OK reader');
      await server.stop();
      await clock.advance(DAY_MS - 1_000);
      expect(await outcome(token)).toBe('OK reader');
      expect(await outcome(await sign(key, CLAIMS, { kid: 'k2' }))).toBe('AUTHN_UNAVAILABLE');
      await clock.advance(1_000);
      expect(await outcome(token)).toBe('AUTHN_UNAVAILABLE');
    });

    it('are renewed when they are no longer fresh', async () => {
      expect(await outcome(token)).toBe('OK reader');
      server.keys = [await issuerKey('k2')];
      await clock.advance(599_000);
      expect(await outcome(token)).toBe('OK reader');
      await clock.advance(1_000);
      expect(await outcome(token)).toBe('AUTHN_FAILED');
    });
  });
});

describe('API keys', () => {
  it('are random in 256 bits and known by their hash alone', () => {
    const made = Array.from({ length: 100 }, () => generateApiKey());
    expect(new Set(made.map(({ token }) => token)).size).toBe(100);
    for (const { token, keyId, keySha256 } of made) {
      const secret = token.slice(`pk_${keyId}_`.length);
      expect(Buffer.from(secret, 'base64url')).toHaveLength(32);
      expect(keySha256).toMatch(/^[0-9a-f]{64}$/);
    }
  });

  it.each(['', 'Upper', 'under_score', '-dash', 'a'.repeat(41)])('cannot have the id %s', (keyId) =>
    expect(() => generateApiKey(keyId)).toThrow(RangeError),
  );
});

describe('access', () => {
  const access = new PolicyAccess({
    roles: { exact: ['health.read'], prefix: ['rpc.call:*', 'ig.'], all: ['*'], none: [] },
  });
  const principal = (...roles: string[]) => ({ ...servicePrincipal(accessPolicy({}), 'teller'), roles });

  it.each([
    [['exact'], 'health.read', true],
    [['exact'], 'health.read.more', false],
    [['exact'], 'health', false],
    [['prefix'], 'rpc.call:ledger', true],
    [['prefix'], 'rpc.call:', true],
    [['prefix'], 'rpc.call', false],
    [['prefix'], 'ig.submit', false],
    [['none', 'prefix'], 'rpc.call:x', true],
    [['all'], 'whatever', true],
    [['none'], 'health.read', false],
    [['unknown'], 'health.read', false],
    [['constructor', '__proto__'], 'health.read', false],
    [[], 'health.read', false],
  ])('%j: %s is %s', (roles, permission, permitted) => {
    expect(access.permits(principal(...roles), permission)).toBe(permitted);
    if (permitted) access.demand(principal(...roles), permission);
    else expect(() => access.demand(principal(...roles), permission)).toThrow(/AUTHZ_DENIED.*no role that permits/);
  });

  it('names the unit that calls within the process, with the roles that the policy gives to services', () => {
    expect(servicePrincipal(accessPolicy({}), 'teller')).toEqual({
      actor: { actor_id: 'SYSTEM::teller', source_type: 'SYSTEM', auth_mode: 'NONE' },
      keyId: 'in-process:teller',
      roles: ['caller'],
    });
  });
});

describe('access policy', () => {
  const schema = validatorOf(AccessPolicy, 'the policy');
  const key = { key_id: 'a', key_sha256: '0'.repeat(64), actor_id: 'SYSTEM::a', roles: ['reader'] };
  const issuer = issuerPolicy({ jwks_uri: 'https://login.example.org/jwks' });

  it('is accepted when it is well-formed', () => {
    const policy = accessPolicy({ api_keys: [key], oidc: [issuer] });
    expect(schema.check(policy)).toMatchObject({ ok: true });
    expect(checkAccessPolicy(policy)).toEqual([]);
  });

  it.each([
    ['a secret in the place of its hash', accessPolicy({ api_keys: [{ ...key, key_sha256: generateApiKey().token }] })],
    ['a symmetric algorithm', accessPolicy({ oidc: [{ ...issuer, algorithms: ['HS256' as never] }] })],
    ['alg none', accessPolicy({ oidc: [{ ...issuer, algorithms: ['none' as never] }] })],
    ['keys over plain http', accessPolicy({ oidc: [{ ...issuer, jwks_uri: 'http://login.example.org/jwks' }] })],
    [
      'keys from a host that only begins like this one',
      accessPolicy({ oidc: [{ ...issuer, jwks_uri: 'http://localhost.evil.org/' }] }),
    ],
    ['a private key', accessPolicy({ oidc: [issuerPolicy({ jwks: { keys: [{ kty: 'EC', d: 'x' } as never] } })] })],
    ['a wildcard in the middle', { ...accessPolicy({}), roles: { a: ['rpc.*:x'] } }],
    ['an actor of no kind', accessPolicy({ api_keys: [{ ...key, actor_id: 'root' }] })],
    ['an unknown member', { ...accessPolicy({}), more: 1 }],
  ])('is refused with %s', (_, policy) => expect(schema.check(policy)).toMatchObject({ ok: false }));

  it('names what does not fit together, with its place', () => {
    const policy = accessPolicy({
      api_keys: [{ ...key, roles: ['typo'], expires: '2026-02-30T00:00:00Z' }, key],
      oidc: [{ ...issuer, role_mapping: { 'a/b': ['typo'] } }, issuerPolicy({})],
    });
    expect(checkAccessPolicy(policy)).toEqual([
      { pointer: '/api_keys/0/roles/0', sentence: 'no role is called typo' },
      { pointer: '/api_keys/0/expires', sentence: 'the calendar has no such date' },
      { pointer: '/api_keys/1/key_id', sentence: 'this key id stands here twice' },
      { pointer: '/api_keys/1/key_sha256', sentence: 'this key stands here twice' },
      { pointer: '/oidc/0/role_mapping/a~1b/0', sentence: 'no role is called typo' },
      { pointer: '/oidc/1/issuer', sentence: 'this issuer stands here twice' },
      { pointer: '/oidc/1/name', sentence: 'this name stands here twice' },
      { pointer: '/oidc/1', sentence: 'an issuer has either jwks_uri or jwks' },
    ]);
  });
});
