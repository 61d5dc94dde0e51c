import { ProbityError } from '../../rails/errors/probity-error.js';
import type { AccessPolicy } from './access-policy.schema.js';
import { Access, type Permission, type Principal } from './identity.port.js';

interface Grants {
  readonly exact: ReadonlySet<Permission>;
  /** What stood before the `*`; the empty string permits everything. */
  readonly prefixes: readonly string[];
}

/** What the roles of a policy permit. A role that the policy does not name permits nothing. */
export class PolicyAccess extends Access {
  readonly #grants: ReadonlyMap<string, Grants>;

  constructor(policy: Pick<AccessPolicy, 'roles'>) {
    super();
    this.#grants = new Map(Object.entries(policy.roles).map(([role, patterns]) => [role, grantsOf(patterns)]));
  }

  permits(principal: Principal, permission: Permission): boolean {
    return principal.roles.some((role) => {
      const grants = this.#grants.get(role);
      if (grants === undefined) return false;
      return grants.exact.has(permission) || grants.prefixes.some((prefix) => permission.startsWith(prefix));
    });
  }

  demand(principal: Principal, permission: Permission): void {
    if (this.permits(principal, permission)) return;
    throw new ProbityError('AUTHZ_DENIED', `${principal.actor.actor_id} has no role that permits ${permission}`, {
      data: { permission },
    });
  }
}

function grantsOf(patterns: readonly string[]): Grants {
  const isPrefix = (pattern: string) => pattern.endsWith('*');
  return {
    exact: new Set(patterns.filter((pattern) => !isPrefix(pattern))),
    prefixes: patterns.filter(isPrefix).map((pattern) => pattern.slice(0, -1)),
  };
}
