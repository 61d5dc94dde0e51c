import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import type { Clock } from '../clock/clock.port.js';
import type { Logger } from '../telemetry/telemetry.port.js';
import type { AccessPolicy } from './access-policy.schema.js';
import { API_KEY_PREFIX, ApiKeys } from './api-key.js';
import { Authenticator, type Credentials, type Principal } from './identity.port.js';
import { JWKS_DEFAULTS, type RemoteJwksOptions } from './jwks.js';
import { OidcTokens } from './oidc.js';
import { anonymousPrincipal } from './principals.js';
import { Refusal, refused } from './refusal.js';

/** RFC 6750: the scheme's name in any case, one blank, and a value without blanks. */
const BEARER = /^bearer ([!-~]+)$/i;

export interface PolicyAuthenticatorOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly jwks?: Partial<RemoteJwksOptions>;
}

/**
 * Finds out who calls, by the access policy: an API key when the Bearer value begins with `pk_`, else a JWT.
 *
 * Whatever is wrong with credentials, the caller learns the same one sentence: an answer that told "unknown key" from
 * "wrong secret" or "expired" would lead a thief from one to the next. The reason goes to the log.
 */
export class PolicyAuthenticator extends Authenticator {
  readonly #apiKeys: ApiKeys;
  readonly #tokens: OidcTokens;
  readonly #anonymous: Principal;
  readonly #logger: Logger;

  constructor(policy: AccessPolicy, { clock, logger, jwks }: PolicyAuthenticatorOptions) {
    super();
    this.#apiKeys = new ApiKeys(policy.api_keys, clock);
    this.#tokens = new OidcTokens(policy.oidc, clock, logger, { ...JWKS_DEFAULTS, ...jwks });
    this.#anonymous = anonymousPrincipal(policy);
    this.#logger = logger;
  }

  async authenticate({ authorization }: Credentials): Promise<Principal> {
    if (authorization === undefined) return this.#anonymous;
    try {
      return await this.#principalOf(authorization);
    } catch (error) {
      if (isProbityError(error)) throw error;
      // What is not a refusal is a defect; it must not let anybody in, nor show the caller its insides.
      if (error instanceof Refusal) {
        this.#logger.info('authentication_refused', { reason: error.reason, key_id: error.keyId });
      } else {
        this.#logger.error('authentication_failed_unexpectedly', { error });
      }
      throw new ProbityError('AUTHN_FAILED', 'the credentials were not accepted');
    }
  }

  async #principalOf(authorization: string): Promise<Principal> {
    const value = BEARER.exec(authorization)?.[1];
    if (value === undefined) throw refused('header_malformed');
    return value.startsWith(API_KEY_PREFIX) ? this.#apiKeys.authenticate(value) : this.#tokens.authenticate(value);
  }
}
