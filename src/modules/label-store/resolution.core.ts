import { type Label, WITHDRAWN } from '../../rails/events/label.schema.js';
import type { UtcMicros } from '../../rails/time.js';
import { rankOf, type ResolutionRule } from './label-store.policy.js';

export interface Question {
  /** What was observed until then is known; there is no question without it (law R10). */
  readonly asOf: UtcMicros;
  /** What happened until then counts. */
  readonly effectiveAt: UtcMicros;
  readonly rule: ResolutionRule;
}

export type Answer =
  | { readonly state: 'UNKNOWN' }
  | {
      readonly state: 'LABEL';
      readonly label: Label;
      /** What stood beside it and did not count under the rule. */
      readonly losers: readonly Label[];
    }
  | { readonly state: 'CONFLICT'; readonly candidates: readonly Label[] };

/**
 * What is known of one target in one type of label.
 *
 * Kept is what was observed until `asOf`; of it goes what another kept one supersedes, whatever their effective times are, and what only takes
 * back. Of what is effective until `effectiveAt` the latest effective stands. Where several do and differ, the rule decides, or nothing is
 * settled: a conflict is an answer, not an error.
 * @param labels all of the target and type, in any order
 */
export function resolve(labels: readonly Label[], { asOf, effectiveAt, rule }: Question): Answer {
  const kept = labels.filter(({ observed_at_utc }) => observed_at_utc <= asOf);
  const gone = new Set(kept.map(({ supersedes }) => supersedes));
  const standing = kept.filter(
    ({ label_id, label_value, effective_at_utc }) =>
      !gone.has(label_id) && label_value !== WITHDRAWN && effective_at_utc <= effectiveAt,
  );
  const latest = standing.reduce((max, { effective_at_utc: at }) => (at > max ? at : max), '');
  const rank = rankOf(rule);
  const candidates = standing
    .filter(({ effective_at_utc }) => effective_at_utc === latest)
    .sort((a, b) => rank(a.source.type) - rank(b.source.type) || lastFirst(a, b));
  const [first] = candidates;
  if (first === undefined) return { state: 'UNKNOWN' };
  const best = rank(first.source.type);
  const deciding = candidates.filter(({ source }) => rank(source.type) === best);
  const agree = deciding.every(({ label_value }) => label_value === first.label_value);
  if (!agree && rule.then === 'conflict') return { state: 'CONFLICT', candidates: deciding };
  return { state: 'LABEL', label: first, losers: candidates.slice(1) };
}

function lastFirst(a: Label, b: Label): number {
  if (a.observed_at_utc !== b.observed_at_utc) return a.observed_at_utc < b.observed_at_utc ? 1 : -1;
  return b.ledger_seq - a.ledger_seq;
}
