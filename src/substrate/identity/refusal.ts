/** Why credentials were refused: for the operator's log, never for the caller, who could feel his way along it. */
export type RefusalReason =
  | 'header_malformed'
  | 'api_key_malformed'
  | 'api_key_unknown'
  | 'api_key_not_yet_valid'
  | 'api_key_expired'
  | 'token_malformed'
  | 'token_issuer_unknown'
  | 'token_algorithm'
  | 'token_signature'
  | 'token_key_unknown'
  | 'token_expired'
  | 'token_claim';

/** Stays inside this folder: the composite authenticator turns it into AUTHN_FAILED and a log line. */
export class Refusal extends Error {
  constructor(
    readonly reason: RefusalReason,
    /** The key id or the issuer's name, if the credentials pointed at one that the policy has. */
    readonly keyId: string | undefined,
  ) {
    super(reason);
    this.name = 'Refusal';
  }
}

export function refused(reason: RefusalReason, keyId?: string): Refusal {
  return new Refusal(reason, keyId);
}
