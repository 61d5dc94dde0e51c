import type { Brand } from './brand.js';

/** `SYSTEM::<unit>` or `HUMAN::<id>`; always taken from the authentication context, never from a payload. */
export type ActorId = Brand<string, 'ActorId'>;

export type SourceType = 'SYSTEM' | 'HUMAN' | 'ANONYMOUS';
export type AuthMode = 'API_KEY' | 'OIDC' | 'NONE';

/** Who did something, as it stands in receipts, facts and audit records. */
export interface Actor {
  readonly actor_id: ActorId;
  readonly source_type: SourceType;
  readonly auth_mode: AuthMode;
}
