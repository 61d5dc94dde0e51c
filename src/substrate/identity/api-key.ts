import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { type Digest, digestText } from '../../rails/digest.js';
import type { Clock } from '../clock/clock.port.js';
import type { ApiKeyPolicy } from './access-policy.schema.js';
import type { Principal } from './identity.port.js';
import { actorOf } from './principals.js';
import { type Refusal, refused } from './refusal.js';

/** What an API key begins with; a Bearer value that does not is taken for a JWT. */
export const API_KEY_PREFIX = 'pk_';

/** pk_<id>_<secret>: the id is for people and logs, the secret is 32 random bytes in base64url, 43 characters. */
const API_KEY = /^pk_([a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?)_([A-Za-z0-9_-]{43})$/;

const SECRET_BYTES = 32;

export interface GeneratedApiKey {
  readonly keyId: string;
  /** The key itself. It is shown once and stored nowhere by the platform. */
  readonly token: string;
  /** What the access policy lists. */
  readonly keySha256: Digest;
}

/** A new key with a 256-bit secret from the operating system's random source. */
export function generateApiKey(keyId: string = randomBytes(6).toString('hex')): GeneratedApiKey {
  const token = `${API_KEY_PREFIX}${keyId}_${randomBytes(SECRET_BYTES).toString('base64url')}`;
  if (!API_KEY.test(token)) throw new RangeError('a key id is 1 to 40 lower-case letters, digits and inner dashes');
  return { keyId, token, keySha256: digestText(token) };
}

interface KnownKey {
  readonly sha256: Buffer;
  readonly notBeforeMs: number;
  readonly expiresMs: number;
  readonly principal: Principal;
}

/**
 * Recognises API keys by the hashes that the policy lists.
 *
 * One round of sha-256 is enough: slow hashes (bcrypt, argon2) make up for passwords that people choose from few. These
 * secrets are 256 uniformly random bits; whoever reads the hash faces 2^255 trials on average whether a trial takes a
 * microsecond or a second, and a slow hash on each request would let anybody exhaust the processor with false keys.
 */
export class ApiKeys {
  readonly #keys: ReadonlyMap<string, KnownKey>;
  /** Stands in for a key that is not there, so that an unknown id takes the same way as a wrong secret. */
  readonly #nobody = randomBytes(SECRET_BYTES);

  constructor(
    keys: readonly ApiKeyPolicy[],
    private readonly clock: Clock,
  ) {
    this.#keys = new Map(keys.map((key) => [key.key_id, knownKey(key)]));
  }

  /** @throws Refusal that the composite authenticator turns into AUTHN_FAILED */
  authenticate(token: string): Principal {
    const keyId = API_KEY.exec(token)?.[1];
    if (keyId === undefined) throw refused('api_key_malformed');
    const known = this.#keys.get(keyId);
    const sha256 = createHash('sha256').update(token, 'utf8').digest();
    // Constant time: a comparison that stops at the first wrong byte would tell by its duration how far one has come.
    const same = timingSafeEqual(sha256, known?.sha256 ?? this.#nobody);
    if (known === undefined || !same) throw this.#refusal('api_key_unknown', keyId);
    const nowMs = this.clock.nowMs();
    if (nowMs < known.notBeforeMs) throw this.#refusal('api_key_not_yet_valid', keyId);
    if (nowMs >= known.expiresMs) throw this.#refusal('api_key_expired', keyId);
    return known.principal;
  }

  /** Key ids of the policy go to the log; what a stranger made up does not. */
  #refusal(reason: Refusal['reason'], keyId: string): Refusal {
    return refused(reason, this.#keys.has(keyId) ? keyId : undefined);
  }
}

function knownKey(key: ApiKeyPolicy): KnownKey {
  return {
    sha256: Buffer.from(key.key_sha256, 'hex'),
    notBeforeMs: key.not_before === undefined ? -Infinity : Date.parse(key.not_before),
    expiresMs: key.expires === undefined ? Infinity : Date.parse(key.expires),
    principal: { actor: actorOf(key.actor_id, 'API_KEY'), keyId: key.key_id, roles: key.roles },
  };
}
