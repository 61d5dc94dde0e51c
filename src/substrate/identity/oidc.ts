import { createLocalJWKSet, decodeJwt, errors, type JWTPayload, jwtVerify, type JWTVerifyGetKey } from 'jose';
import type { Clock } from '../clock/clock.port.js';
import type { Logger } from '../telemetry/telemetry.port.js';
import type { OidcIssuerPolicy } from './access-policy.schema.js';
import type { Principal } from './identity.port.js';
import { RemoteJwks, type RemoteJwksOptions } from './jwks.js';
import { actorOf } from './principals.js';
import { type Refusal, refused } from './refusal.js';

/** Longer than any sensible token; what is longer is not even decoded. */
const TOKEN_CHARACTERS_MAX = 8_192;

/** A subject becomes part of an actor id, which stands in records and logs: printable, no blanks, bounded. */
const SUBJECT = /^[\x21-\x7e]{1,200}$/;

interface Issuer {
  readonly policy: OidcIssuerPolicy;
  readonly keyFor: JWTVerifyGetKey;
}

/**
 * Verifies the JWTs of the issuers that the policy lists. The token's own `iss` only chooses which issuer's rules it is
 * held against; everything it says counts after its signature has been checked with a key and an algorithm of that issuer.
 */
export class OidcTokens {
  readonly #issuers: ReadonlyMap<string, Issuer>;

  constructor(
    issuers: readonly OidcIssuerPolicy[],
    private readonly clock: Clock,
    logger: Logger,
    options: RemoteJwksOptions,
  ) {
    this.#issuers = new Map(
      issuers.map((policy) => [policy.issuer, { policy, keyFor: keySource(policy, clock, logger, options) }]),
    );
  }

  /** @throws Refusal for a token that is not good; ProbityError AUTHN_UNAVAILABLE when that cannot be told */
  async authenticate(token: string): Promise<Principal> {
    const issuer = this.#issuerOf(token);
    const { policy } = issuer;
    const payload = await this.#verified(token, issuer);
    const { sub } = payload;
    if (sub === undefined || !SUBJECT.test(sub)) throw refused('token_claim', policy.name);
    return {
      // Subjects are unique within one issuer only; without its name two people could be one actor.
      actor: actorOf(`${policy.source_type}::${policy.name}/${sub}`, 'OIDC'),
      keyId: `${policy.issuer}#${sub}`,
      roles: rolesOf(payload, policy),
    };
  }

  #issuerOf(token: string): Issuer {
    if (token.length > TOKEN_CHARACTERS_MAX) throw refused('token_malformed');
    let claimed: string | undefined;
    try {
      claimed = decodeJwt(token).iss;
    } catch {
      throw refused('token_malformed');
    }
    const issuer = typeof claimed === 'string' ? this.#issuers.get(claimed) : undefined;
    if (issuer === undefined) throw refused('token_issuer_unknown');
    return issuer;
  }

  async #verified(token: string, { policy, keyFor }: Issuer): Promise<JWTPayload> {
    try {
      const { payload } = await jwtVerify(token, keyFor, {
        issuer: policy.issuer,
        audience: policy.audience,
        algorithms: policy.algorithms,
        requiredClaims: ['exp', 'sub'],
        clockTolerance: policy.clock_tolerance_s,
        currentDate: new Date(this.clock.nowMs()),
      });
      return payload;
    } catch (error) {
      throw refusalOf(error, policy.name) ?? error;
    }
  }
}

function keySource(
  policy: OidcIssuerPolicy,
  clock: Clock,
  logger: Logger,
  options: RemoteJwksOptions,
): JWTVerifyGetKey {
  if (policy.jwks_uri !== undefined) {
    return new RemoteJwks(policy.jwks_uri, policy.name, options, clock, logger).keyFor;
  }
  // The schema closes each key over these members; `undefined` for an absent one and absence mean the same to jose.
  return createLocalJWKSet({ keys: (policy.jwks?.keys ?? []).map((key) => ({ ...key })) });
}

function refusalOf(error: unknown, issuerName: string): Refusal | undefined {
  if (error instanceof errors.JWTExpired) return refused('token_expired', issuerName);
  if (error instanceof errors.JWTClaimValidationFailed) return refused('token_claim', issuerName);
  if (error instanceof errors.JOSEAlgNotAllowed) return refused('token_algorithm', issuerName);
  if (error instanceof errors.JWSSignatureVerificationFailed) return refused('token_signature', issuerName);
  if (error instanceof errors.JWKSNoMatchingKey) return refused('token_key_unknown', issuerName);
  if (error instanceof errors.JWKSMultipleMatchingKeys) return refused('token_key_unknown', issuerName);
  if (error instanceof errors.JOSEError) return refused('token_malformed', issuerName);
  // A key of the wrong kind for the algorithm of the header is a TypeError of the crypto layer.
  if (error instanceof TypeError) return refused('token_algorithm', issuerName);
  return undefined;
}

/** The roles that the mapping gives to the claim's values; a value that it does not know gives none. */
function rolesOf(payload: JWTPayload, policy: OidcIssuerPolicy): readonly string[] {
  let claim: unknown = payload;
  for (const part of policy.roles_claim) {
    claim = isRecord(claim) && Object.hasOwn(claim, part) ? claim[part] : undefined;
  }
  const values: readonly unknown[] = typeof claim === 'string' ? claim.split(' ') : Array.isArray(claim) ? claim : [];
  const roles = values.flatMap((value) =>
    typeof value === 'string' && Object.hasOwn(policy.role_mapping, value) ? (policy.role_mapping[value] ?? []) : [],
  );
  return [...new Set(roles)];
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
