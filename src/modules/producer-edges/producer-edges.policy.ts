import { Type } from '@sinclair/typebox';
import { type JsonObject } from '../../rails/canonical-json.js';
import { closed, type Sealed } from '../../rails/schema.js';
import type { PolicyKind } from '../../substrate/policy/policy.port.js';
import { mappingFaults } from './mapping.core.js';

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
      /**
       * Member of our transaction → member of the record's JSON, a JSON Pointer into it, or `{constant: value}`; absent: the
       * record is a transaction as it is.
       */
      mapping: Type.Optional(Type.Unsafe<JsonObject>({ type: 'object' })),
    }),
  ),
});

export type EdgesPolicy = Sealed<typeof EdgesPolicySchema>;
export type SourceEdge = EdgesPolicy['sources'][number];

/** Topics of the platform itself begin with this: an edge that read them would feed the gate with what it admitted. */
const OWN_TOPICS = 'fp.bus.';

type Fault = { readonly pointer: string; readonly sentence: string };

export const EDGES_POLICY: PolicyKind<typeof EdgesPolicySchema> = {
  policy_id: 'edge.producers',
  takesEffect: 'at_restart',
  schema: EdgesPolicySchema,
  check: (body: EdgesPolicy): readonly Fault[] => [...principalFaults(body), ...sourceFaults(body)],
};

function principalFaults({ http }: EdgesPolicy): readonly Fault[] {
  const seen = new Set<string>();
  return http.flatMap(({ principals }, entry) =>
    principals.flatMap((principal, index) => {
      const again = seen.has(principal);
      seen.add(principal);
      if (!again) return [];
      const sentence = `${principal} stands in two entries, so that nobody could say which edge it uses`;
      return [{ pointer: `/http/${entry}/principals/${index}`, sentence }];
    }),
  );
}

function sourceFaults({ sources }: EdgesPolicy): readonly Fault[] {
  const groups = new Set<string>();
  return sources.flatMap(({ topic, group, mapping }, entry) => {
    const faults: Fault[] = [];
    if (topic.startsWith(OWN_TOPICS)) {
      const sentence = "is a topic of the platform's own, which nobody submits again";
      faults.push({ pointer: `/sources/${entry}/topic`, sentence });
    }
    if (groups.has(group)) {
      faults.push({ pointer: `/sources/${entry}/group`, sentence: 'is the group of another source, too' });
    }
    groups.add(group);
    for (const { pointer, sentence } of mappingFaults(mapping ?? {})) {
      faults.push({ pointer: `/sources/${entry}/mapping${pointer}`, sentence });
    }
    return faults;
  });
}
