import type { Actor, ActorId, AuthMode, SourceType } from '../../rails/actor.js';
import type { AccessPolicy } from './access-policy.schema.js';
import type { Principal } from './identity.port.js';

/** An actor whose id stands in a policy that its schema has accepted, or was built from a verified token. */
export function actorOf(actorId: string, authMode: AuthMode): Actor {
  const source: SourceType = actorId.startsWith('HUMAN::') ? 'HUMAN' : 'SYSTEM';
  return { actor_id: actorId as ActorId, source_type: source, auth_mode: authMode };
}

/** Whoever shows no credentials. What he may do is for the policy to say, as for everybody (law E2). */
export function anonymousPrincipal(policy: AccessPolicy): Principal {
  const actor: Actor = { actor_id: 'ANONYMOUS' as ActorId, source_type: 'ANONYMOUS', auth_mode: 'NONE' };
  return { actor, keyId: 'anonymous', roles: policy.anonymous.roles };
}

/** As whom a unit calls the ports of other units in its own process. */
export function servicePrincipal(policy: AccessPolicy, unit: string): Principal {
  return { actor: actorOf(`SYSTEM::${unit}`, 'NONE'), keyId: `in-process:${unit}`, roles: policy.service.roles };
}
