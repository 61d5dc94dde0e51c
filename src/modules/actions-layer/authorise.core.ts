import type { ActionIntent } from '../../rails/events/action-intent.schema.js';

/** The part of the policy that judges; spelled out, since a core knows rails alone. */
export interface Authority {
  readonly posture: 'NORMAL' | 'DRAIN' | 'KILL';
  readonly kill_switches: readonly string[];
  readonly rules: readonly {
    readonly id: string;
    readonly effect: 'allow' | 'deny';
    readonly origins?: readonly string[];
    readonly scope: string;
    readonly action_type: string;
  }[];
}

export type Authorised =
  | { readonly allowed: true; readonly ruleId: string }
  | { readonly allowed: false; readonly reason: string; readonly ruleId: string | null };

type Asked = Pick<ActionIntent, 'action_type' | 'scope' | 'origin'>;

/**
 * Kill switch, then explicit deny, then the most specific allow, then default deny. Specific: an exact scope before a prefix before `*`, then
 * an exact type likewise, then the rule that stands first.
 */
export function authorise(intent: Asked, { posture, kill_switches, rules }: Authority): Authorised {
  if (posture === 'KILL' || kill_switches.includes(intent.action_type))
    return { allowed: false, reason: 'KILL_SWITCH_ACTIVE', ruleId: null };
  const matching = rules.filter(
    ({ origins, scope, action_type }) =>
      (origins === undefined || origins.includes(intent.origin)) &&
      matches(scope, intent.scope) &&
      matches(action_type, intent.action_type),
  );
  const denied = matching.find(({ effect }) => effect === 'deny');
  if (denied !== undefined) return { allowed: false, reason: 'EXPLICITLY_DENIED_BY_POLICY', ruleId: denied.id };
  const [allowed] = matching
    .map((rule, at) => ({ rule, at, worth: specificity(rule.scope) * 10_000 + specificity(rule.action_type) }))
    .sort((a, b) => b.worth - a.worth || a.at - b.at);
  if (allowed === undefined) return { allowed: false, reason: 'DEFAULT_DENY', ruleId: null };
  return { allowed: true, ruleId: allowed.rule.id };
}

function matches(pattern: string, text: string): boolean {
  return pattern.endsWith('*') ? text.startsWith(pattern.slice(0, -1)) : pattern === text;
}

/** Exact is worth more than any prefix, and a longer prefix more than a shorter one. */
function specificity(pattern: string): number {
  return pattern.endsWith('*') ? pattern.length - 1 : 1_000 + pattern.length;
}
