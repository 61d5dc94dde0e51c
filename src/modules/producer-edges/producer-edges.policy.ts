import { Type } from '@sinclair/typebox';
import { type JsonObject } from '../../rails/canonical-json.js';
import { closed } from '../../rails/schema.js';
import type { PolicyKind } from '../../substrate/policy/policy.port.js';

const NameSchema = Type.String({ pattern: '^[a-z][a-z0-9._-]{0,99}$' });

/**
 * The edges: each is a named producer of the admission policy, bound to one live run, with those who may use it. Over HTTP it is
 * chosen by the caller's principal; a source of records reads a topic on its own.
 */
export const EdgesPolicySchema = closed({
  http: Type.Array(
    closed({
      producer: NameSchema,
      /** `HUMAN::operator`, `SYSTEM::shop`: a principal may stand in one entry only. */
      principals: Type.Array(Type.String({ minLength: 1, maxLength: 200 }), { minItems: 1, uniqueItems: true }),
      /** Equivalence key of the live run whose pins are stamped. */
      run_equivalence_key: Type.String({ minLength: 1, maxLength: 200 }),
    }),
  ),
  sources: Type.Array(
    closed({
      producer: NameSchema,
      topic: Type.String({ minLength: 1, maxLength: 249 }),
      group: NameSchema,
      /** Where a source begins that has no position yet. */
      start: Type.Union([Type.Literal('earliest'), Type.Literal('latest')]),
      run_equivalence_key: Type.String({ minLength: 1, maxLength: 200 }),
      /** Member of our transaction → member of the record's JSON; absent: the record is a transaction as it is. */
      mapping: Type.Optional(Type.Unsafe<JsonObject>({ type: 'object' })),
    }),
  ),
});

export const EDGES_POLICY: PolicyKind<typeof EdgesPolicySchema> = {
  policy_id: 'edge.producers',
  schema: EdgesPolicySchema,
};
