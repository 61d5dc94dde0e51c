import { Type } from '@sinclair/typebox';
import { ActorSchema } from '../../rails/actor.js';
import { DigestSchema } from '../../rails/digest.js';
import { PolicyRevSchema } from '../../rails/policy-rev.js';
import { objectKey, type ObjectKey } from '../../rails/ref.js';
import { closed, safeInteger, type Sealed } from '../../rails/schema.js';
import { UtcMicrosSchema } from '../../rails/time.js';
import { validatorOf } from '../../rails/validator.js';

/** One link of the chain of activations: from here on this revision is to be in force. */
export const ActivationSchema = closed(
  {
    seq: safeInteger(1, 'place in the chain, without gaps'),
    /** Digest of the bytes of the link before; null for the first. */
    previous: Type.Union([DigestSchema, Type.Null()]),
    policy_rev: PolicyRevSchema,
    /** The highest revision of this policy that was known then. A profile that brings a higher one says something newer. */
    known_revision: safeInteger(1, 'highest revision that was known'),
    fact_id: DigestSchema,
    actor: ActorSchema,
    activated_at_utc: UtcMicrosSchema,
  },
  { description: 'From here on this revision of a policy is to be in force.' },
);
export type Activation = Sealed<typeof ActivationSchema>;

export const activations = validatorOf(ActivationSchema, 'the activation');

const SEQ_DIGITS = 16;

/** The name of the next link is known to everybody, so nobody lists the store (law R4). */
export function activationKey(seq: number): ObjectKey {
  return objectKey(`gov/activations/${String(seq).padStart(SEQ_DIGITS, '0')}.json`);
}
