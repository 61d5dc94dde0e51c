import { Type } from '@sinclair/typebox';
import { closed, type Sealed } from '../../rails/schema.js';
import type { PolicyKind } from '../../substrate/policy/policy.port.js';
import { targetFaults, TargetsSchema } from './outward/targets.schema.js';

/** Types of action whose effect is a row of this unit's database. */
export const ROW_EFFECTS = ['record', 'case_queue', 'notify'] as const;
export type RowEffect = (typeof ROW_EFFECTS)[number];
const OUTWARD = 'webhook.';

/** Who carries out a type of action. */
export type Effector =
  | { readonly kind: 'row'; readonly effect: RowEffect }
  | { readonly kind: 'outward'; readonly target: string }
  | { readonly kind: 'none' };

const pattern = (description: string) => Type.String({ pattern: '^([a-z][a-z0-9_.-]*[*]?|[*])$', description });

const RuleSchema = closed({
  id: Type.String({ pattern: '^[a-z][a-z0-9_.-]{0,99}$' }),
  effect: Type.Union([Type.Literal('allow'), Type.Literal('deny')]),
  /** `DF`, `CASE`, `OPS`; all of them when left out. */
  origins: Type.Optional(
    Type.Array(Type.Union([Type.Literal('DF'), Type.Literal('CASE'), Type.Literal('OPS')]), { minItems: 1 }),
  ),
  /** In full, or their beginning followed by `*`. */
  scope: pattern('the scope of the decision'),
  action_type: pattern('the type of action'),
});

export const ActionsPolicySchema = closed(
  {
    /** NORMAL; DRAIN takes nothing new and publishes what is done; KILL denies everything, visibly. */
    posture: Type.Union([Type.Literal('NORMAL'), Type.Literal('DRAIN'), Type.Literal('KILL')]),
    /** Types of action that are denied at once, whatever the rules say. */
    kill_switches: Type.Array(Type.String({ pattern: '^[a-z][a-z0-9_.]{0,63}$' }), { uniqueItems: true }),
    rules: Type.Array(RuleSchema, { maxItems: 200 }),
    targets: TargetsSchema,
  },
  { description: 'Who may have what done.' },
);
export type ActionsPolicy = Sealed<typeof ActionsPolicySchema>;

export const ACTIONS_POLICY: PolicyKind<typeof ActionsPolicySchema> = {
  policy_id: 'al.actions',
  schema: ActionsPolicySchema,
  check: ({ rules, targets }: ActionsPolicy) => [
    ...rules.flatMap(({ id }, at) =>
      rules.findIndex((other) => other.id === id) === at
        ? []
        : [{ pointer: `/rules/${at}/id`, sentence: `a rule "${id}" stands here twice` }],
    ),
    ...targetFaults(targets),
  ],
};

/** A type that nobody carries out is DENIED, whoever asks for it; so is a target that could not be asked twice about one effect. */
export function effectorOf(actionType: string, { targets }: Pick<ActionsPolicy, 'targets'>): Effector {
  const effect = ROW_EFFECTS.find((one) => one === actionType);
  if (effect !== undefined) return { kind: 'row', effect };
  const target = actionType.startsWith(OUTWARD) ? actionType.slice(OUTWARD.length) : '';
  return targets[target]?.deduplicates === true ? { kind: 'outward', target } : { kind: 'none' };
}

/** The type of action that a target carries out. */
export function typeOf(target: string): string {
  return `${OUTWARD}${target}`;
}
