import { Type } from '@sinclair/typebox';
import { type Brand } from './brand.js';
import { brandedText, closed, type Sealed } from './schema.js';
import { validatorOf } from './validator.js';

/**
 * `SYSTEM::<unit or producer>`, `HUMAN::<id>` or `ANONYMOUS`; always taken from the authentication context, never from a
 * payload.
 */
export type ActorId = Brand<string, 'ActorId'>;

/** Printable ASCII without blanks: an id stands in log lines, keys and records, and must not be able to forge any. */
const ID = '[!-~]{1,240}';

/** What an actor of one source type looks like: the prefix of the id and the source type say the same. */
function kind(source: SourceType, idPattern: string, authModes: readonly AuthMode[]): object {
  return {
    properties: {
      actor_id: { type: 'string', pattern: idPattern },
      source_type: { const: source },
      auth_mode: { enum: authModes },
    },
  };
}

export const ActorSchema = closed(
  {
    actor_id: brandedText<ActorId>({
      pattern: '^[A-Z]',
      description: 'SYSTEM::<unit or producer>, HUMAN::<id>, ANONYMOUS',
    }),
    source_type: Type.Union([Type.Literal('SYSTEM'), Type.Literal('HUMAN'), Type.Literal('ANONYMOUS')]),
    auth_mode: Type.Union([
      Type.Literal('API_KEY'),
      Type.Literal('OIDC'),
      Type.Literal('SIGNATURE'),
      Type.Literal('NONE'),
    ]),
  },
  {
    description: 'Who did something, as found by authentication.',
    oneOf: [
      // NONE: a unit that acts inside its own process, where no credential passes. SIGNATURE: the message itself is signed.
      kind('SYSTEM', `^SYSTEM::${ID}$`, ['API_KEY', 'OIDC', 'SIGNATURE', 'NONE']),
      // Nobody is a certain person without having shown it.
      kind('HUMAN', `^HUMAN::${ID}$`, ['API_KEY', 'OIDC']),
      kind('ANONYMOUS', '^ANONYMOUS$', ['NONE']),
    ],
  },
);

/** Who did something, as it stands in receipts, facts and audit records. */
export type Actor = Sealed<typeof ActorSchema>;
export type SourceType = 'SYSTEM' | 'HUMAN' | 'ANONYMOUS';
export type AuthMode = 'API_KEY' | 'OIDC' | 'SIGNATURE' | 'NONE';

const actors = validatorOf(ActorSchema, 'the actor');

/**
 * A unit or a producer. Without an `authMode` it is the unit itself, acting inside its own process.
 * @throws ProbityError VALUE_INVALID for a name that is empty, too long or not printable ASCII without blanks
 */
export function systemActor(unit: string, authMode: AuthMode = 'NONE'): Actor {
  return actors.demand({ actor_id: `SYSTEM::${unit}`, auth_mode: authMode, source_type: 'SYSTEM' });
}

/** @throws ProbityError VALUE_INVALID for an id that is empty, too long or not printable ASCII without spaces */
export function humanActor(id: string, authMode: Exclude<AuthMode, 'NONE'>): Actor {
  return actors.demand({ actor_id: `HUMAN::${id}`, source_type: 'HUMAN', auth_mode: authMode });
}

/** Whoever showed no credentials. What it may do is policy, too (law E2). */
export const ANONYMOUS_ACTOR: Actor = Object.freeze({
  actor_id: 'ANONYMOUS' as ActorId,
  source_type: 'ANONYMOUS',
  auth_mode: 'NONE',
});

/** @throws ProbityError VALUE_INVALID, also where the id and the source type disagree */
export function asActor(value: unknown): Actor {
  return actors.demand(value);
}
