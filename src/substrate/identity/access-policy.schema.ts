import { type Static, Type } from '@sinclair/typebox';
import { isProbityError } from '../../rails/errors/probity-error.js';
import { parseUtc } from '../../rails/time.js';

/**
 * The body of the access policy artifact: who may call, and what. It holds no secret: API keys stand in it as hashes of
 * random values, issuers by their public keys (law C3). `checkAccessPolicy` finds what a schema cannot say.
 */

const closed = { additionalProperties: false } as const;

const RoleName = Type.String({ pattern: '^[a-z][a-z0-9_.-]{0,63}$', description: 'A name of `roles`.' });
const Roles = Type.Array(RoleName, { uniqueItems: true, maxItems: 64 });

const PermissionPattern = Type.String({
  pattern: '^(\\*|[a-z][A-Za-z0-9_.:/-]*\\*?)$',
  maxLength: 128,
  description: 'A permission in full, or its beginning followed by `*`, or `*` for every one.',
});

/** Actors of the policy itself; tokens name theirs by issuer and subject. */
export const ActorIdText = Type.String({
  pattern: '^(SYSTEM|HUMAN)::[A-Za-z0-9][A-Za-z0-9_.@/-]{0,127}$',
  description: '`SYSTEM::<unit>` or `HUMAN::<id>`: who acts when this credential is shown.',
});

const Moment = Type.String({
  pattern: '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})$',
  description: 'RFC 3339 with Z or an offset.',
});

const ApiKeyPolicy = Type.Object(
  {
    key_id: Type.String({ pattern: '^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$' }),
    key_sha256: Type.String({ pattern: '^[0-9a-f]{64}$', description: 'sha-256 of the whole key, as lower-case hex.' }),
    actor_id: ActorIdText,
    roles: Roles,
    not_before: Type.Optional(Moment),
    expires: Type.Optional(Moment),
  },
  closed,
);

/**
 * A key that a start on a data folder makes for itself and keeps there, so that a laptop needs no key ceremony. Which
 * ones, and what they may do, is policy: a production profile lists none (law E2).
 */
const GeneratedKeyPolicy = Type.Object(
  { key_id: ApiKeyPolicy.properties.key_id, actor_id: ActorIdText, roles: Roles },
  closed,
);

/**
 * Signatures that only the holder of a private key can make. No HMAC: with one on the list, the issuer's public key could
 * be used as the shared secret and anybody could sign. `none` cannot be listed for the same reason.
 */
const Algorithm = Type.Union(
  (['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'] as const).map(
    (name) => Type.Literal(name),
  ),
);

const PublicJwk = Type.Object(
  {
    kty: Type.Union([Type.Literal('RSA'), Type.Literal('EC'), Type.Literal('OKP')]),
    kid: Type.Optional(Type.String({ minLength: 1 })),
    use: Type.Optional(Type.Literal('sig')),
    alg: Type.Optional(Type.String()),
    key_ops: Type.Optional(Type.Array(Type.String())),
    crv: Type.Optional(Type.String()),
    x: Type.Optional(Type.String()),
    y: Type.Optional(Type.String()),
    n: Type.Optional(Type.String()),
    e: Type.Optional(Type.String()),
  },
  // Closed, so that a private key pasted here by mistake (`d`, `p`, `q` …) is refused and never read.
  closed,
);

const OidcIssuerPolicy = Type.Object(
  {
    name: Type.String({
      pattern: '^[a-z][a-z0-9-]{0,31}$',
      description: 'Short; part of the actor id of its subjects.',
    }),
    issuer: Type.String({ minLength: 1, description: 'Exactly what `iss` says.' }),
    audience: Type.String({ minLength: 1, description: 'What `aud` must hold: this platform.' }),
    algorithms: Type.Array(Algorithm, { minItems: 1, uniqueItems: true }),
    /**
     * Without TLS somebody on the way could put in keys of his own and be whoever he likes; the loopback interface has
     * no way to be on.
     */
    jwks_uri: Type.Optional(
      Type.String({ pattern: '^(https://.+|http://(127\\.0\\.0\\.1|\\[::1\\]|localhost)(:[0-9]+)?/.*)$' }),
    ),
    jwks: Type.Optional(Type.Object({ keys: Type.Array(PublicJwk, { minItems: 1 }) }, closed)),
    source_type: Type.Union([Type.Literal('HUMAN'), Type.Literal('SYSTEM')]),
    roles_claim: Type.Array(Type.String({ minLength: 1 }), {
      minItems: 1,
      description: 'Path of the claim: a list of strings, or a string with spaces between values.',
    }),
    role_mapping: Type.Record(Type.String(), Roles, {
      description: 'Value of the claim → our roles. Others count for nothing.',
    }),
    clock_tolerance_s: Type.Integer({ minimum: 0, maximum: 300 }),
  },
  closed,
);

export const AccessPolicy = Type.Object(
  {
    roles: Type.Record(RoleName, Type.Array(PermissionPattern, { uniqueItems: true }), closed),
    anonymous: Type.Object({ roles: Roles }, closed),
    /** Calls between units of one process: they show no credential, so their roles stand here. */
    service: Type.Object({ roles: Roles }, closed),
    api_keys: Type.Array(ApiKeyPolicy),
    generated_keys: Type.Optional(Type.Array(GeneratedKeyPolicy)),
    oidc: Type.Array(OidcIssuerPolicy),
  },
  { ...closed, $id: 'urn:probity:schema:access-policy' },
);

export type AccessPolicy = Static<typeof AccessPolicy>;
export type ApiKeyPolicy = Static<typeof ApiKeyPolicy>;
export type GeneratedKeyPolicy = Static<typeof GeneratedKeyPolicy>;
export type OidcIssuerPolicy = Static<typeof OidcIssuerPolicy>;

/** One fault that the schema cannot see, with its place as a JSON Pointer into the policy's body. */
export interface AccessPolicyFault {
  readonly pointer: string;
  readonly sentence: string;
}

/** All faults of a policy that its schema has accepted: names that nothing defines, and identities given twice. */
export function checkAccessPolicy(policy: AccessPolicy): readonly AccessPolicyFault[] {
  const faults: AccessPolicyFault[] = [];
  const known = new Set(Object.keys(policy.roles));
  const demandRoles = (pointer: string, roles: readonly string[]) => {
    roles.forEach((role, index) => {
      if (!known.has(role)) faults.push({ pointer: `${pointer}/${index}`, sentence: `no role is called ${role}` });
    });
  };
  const demandNew = (seen: Set<string>, pointer: string, value: string, what: string) => {
    if (seen.has(value)) faults.push({ pointer, sentence: `this ${what} stands here twice` });
    seen.add(value);
  };
  const demandMoment = (pointer: string, moment: string | undefined) => {
    const fault = moment === undefined ? undefined : momentFault(moment);
    if (fault !== undefined) faults.push({ pointer, sentence: fault });
  };

  demandRoles('/anonymous/roles', policy.anonymous.roles);
  demandRoles('/service/roles', policy.service.roles);

  const [keyIds, hashes, issuers, names] = [new Set<string>(), new Set<string>(), new Set<string>(), new Set<string>()];
  policy.api_keys.forEach((key, index) => {
    const at = `/api_keys/${index}`;
    demandNew(keyIds, `${at}/key_id`, key.key_id, 'key id');
    demandNew(hashes, `${at}/key_sha256`, key.key_sha256, 'key');
    demandRoles(`${at}/roles`, key.roles);
    demandMoment(`${at}/not_before`, key.not_before);
    demandMoment(`${at}/expires`, key.expires);
  });
  policy.generated_keys?.forEach((key, index) => {
    const at = `/generated_keys/${index}`;
    demandNew(keyIds, `${at}/key_id`, key.key_id, 'key id');
    demandRoles(`${at}/roles`, key.roles);
  });
  policy.oidc.forEach((issuer, index) => {
    const at = `/oidc/${index}`;
    demandNew(issuers, `${at}/issuer`, issuer.issuer, 'issuer');
    demandNew(names, `${at}/name`, issuer.name, 'name');
    if ((issuer.jwks_uri === undefined) === (issuer.jwks === undefined)) {
      faults.push({ pointer: at, sentence: 'an issuer has either jwks_uri or jwks' });
    }
    for (const [value, roles] of Object.entries(issuer.role_mapping)) {
      demandRoles(`${at}/role_mapping/${value.replaceAll('~', '~0').replaceAll('/', '~1')}`, roles);
    }
  });
  return faults;
}

/** The pattern takes 30 February; a key that expires on a day that never comes would never expire. */
function momentFault(moment: string): string | undefined {
  try {
    parseUtc(moment);
    return undefined;
  } catch (error) {
    return isProbityError(error) ? error.detail : 'this is not a time';
  }
}
