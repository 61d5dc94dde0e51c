import { type Actor, ANONYMOUS_ACTOR, asActor, type AuthMode, systemActor } from '../../rails/actor.js';
import type { AccessPolicy } from './access-policy.schema.js';
import type { Principal } from './identity.port.js';

/**
 * The actor of a credential: `SYSTEM::…` or `HUMAN::…`, and the source type that goes with it.
 * @throws ProbityError VALUE_INVALID for an id that is no actor's
 */
export function actorOf(actorId: string, authMode: Exclude<AuthMode, 'NONE'>): Actor {
  const source = actorId.startsWith('HUMAN::') ? 'HUMAN' : 'SYSTEM';
  return asActor({ actor_id: actorId, source_type: source, auth_mode: authMode });
}

/** Whoever shows no credentials. What he may do is for the policy to say, as for everybody (law E2). */
export function anonymousPrincipal(policy: AccessPolicy): Principal {
  return { actor: ANONYMOUS_ACTOR, keyId: 'anonymous', roles: policy.anonymous.roles };
}

/** As whom a unit calls the ports of other units in its own process. */
export function servicePrincipal(policy: AccessPolicy, unit: string): Principal {
  return { actor: systemActor(unit), keyId: `in-process:${unit}`, roles: policy.service.roles };
}
