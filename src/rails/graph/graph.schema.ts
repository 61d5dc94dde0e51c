import { Type } from '@sinclair/typebox';
import { closed, type Sealed } from '../schema.js';

/** What an identifier is of. Cards, accounts and customers pay; the others are what payers may share. */
export const IDENTIFIER_TYPES = [
  'card',
  'account',
  'customer',
  'device',
  'ip',
  'address',
  'contact',
  'beneficiary',
] as const;
export type IdentifierType = (typeof IDENTIFIER_TYPES)[number];

export const GraphPolicySchema = closed(
  {
    event_type: Type.String({ pattern: '^[a-z][a-z0-9_.]{0,63}$' }),
    /** Which member of the payload is an identifier of which type; in this order a walk takes them. */
    identifiers: Type.Array(
      closed({
        field: Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' }),
        type: Type.Union(IDENTIFIER_TYPES.map((type) => Type.Literal(type))),
        /** Whether a walk goes on through it: what strangers share (an address of a carrier) must not join them. */
        joins: Type.Boolean(),
      }),
      { minItems: 1, maxItems: 32 },
    ),
    /** How far behind an event a walk looks. */
    horizon_days: Type.Integer({ minimum: 1, maximum: 3_650 }),
    /** How far behind the newest event one may come and still be answered: so much more is kept. */
    lateness_days: Type.Integer({ minimum: 0, maximum: 3_650 }),
    walk: closed({
      identifiers_max: Type.Integer({ minimum: 1, maximum: 10_000 }),
      /** The newest ones of each identifier: a hub costs no more than anybody. */
      events_per_identifier_max: Type.Integer({ minimum: 1, maximum: 10_000 }),
    }),
  },
  { description: 'What hangs together, and how far to look.' },
);
export type GraphPolicy = Sealed<typeof GraphPolicySchema>;

export function graphPolicyFaults({ identifiers }: GraphPolicy): readonly { pointer: string; sentence: string }[] {
  return identifiers.flatMap(({ field }, at) =>
    identifiers.findIndex((other) => other.field === field) === at
      ? []
      : [{ pointer: `/identifiers/${at}/field`, sentence: `the field "${field}" stands here twice` }],
  );
}
