import type { Actor } from '../../rails/actor.js';

/** What a caller may be permitted to do: `health.read`, `rpc.call:ledger`, `ig.submit` … `*` at the end matches any rest. */
export type Permission = string;

/** Who calls, as found by authentication, with the roles that the access policy gives them. */
export interface Principal {
  readonly actor: Actor;
  /** Names the credential, never its secret: the id of an API key, or issuer and subject of a token. */
  readonly keyId: string;
  readonly roles: readonly string[];
}

/** The credentials part of a request: the bare value of its Authorization header, if any. */
export interface Credentials {
  readonly authorization?: string;
}

export abstract class Authenticator {
  /**
   * Without credentials the caller is the policy's ANONYMOUS principal: what it may do is policy, too (law E2).
   * @throws ProbityError AUTHN_FAILED for credentials that are not good, AUTHN_UNAVAILABLE when that cannot be told
   */
  abstract authenticate(credentials: Credentials): Promise<Principal>;
}

export abstract class Access {
  abstract permits(principal: Principal, permission: Permission): boolean;
  /** @throws ProbityError AUTHZ_DENIED that names the permission */
  abstract demand(principal: Principal, permission: Permission): void;
}
