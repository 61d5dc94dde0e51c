import type { Decision } from '../../rails/events/decision.schema.js';
import type { Mark } from './case.schema.js';
import type { CasesPolicy } from './case-workbench.policy.js';

const VALUE_MAX = 256;

/** What a case may share with others: what its payment names, by the fields of the policy, and the reasons of its decision. */
export function marksOf(
  payload: Readonly<Record<string, unknown>>,
  decision: Pick<Decision, 'reason_codes'> | null,
  { fields }: CasesPolicy['similar'],
): readonly Mark[] {
  const named = fields.flatMap(({ field, kind }): readonly Mark[] => {
    const value = payload[field];
    return typeof value === 'string' && value !== '' && value.length <= VALUE_MAX ? [{ kind, value }] : [];
  });
  const marks = [...named, ...(decision?.reason_codes ?? []).map((value) => ({ kind: 'reason' as const, value }))];
  const seen = new Set<string>();
  return marks.filter(({ kind, value }) => {
    const name = `${kind} ${value}`;
    if (seen.has(name)) return false;
    seen.add(name);
    return true;
  });
}
