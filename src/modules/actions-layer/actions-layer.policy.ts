import { Type } from '@sinclair/typebox';
import { closed, type Sealed } from '../../rails/schema.js';
import type { PolicyKind } from '../../substrate/policy/policy.port.js';

/** What this build can do. Another type is DENIED by default, whoever asks for it. */
export const EFFECTORS = ['record', 'case_queue'] as const;
export type Effector = (typeof EFFECTORS)[number];

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
  },
  { description: 'Who may have what done.' },
);
export type ActionsPolicy = Sealed<typeof ActionsPolicySchema>;

export const ACTIONS_POLICY: PolicyKind<typeof ActionsPolicySchema> = {
  policy_id: 'al.actions',
  schema: ActionsPolicySchema,
  check: ({ rules }: ActionsPolicy) =>
    rules.flatMap(({ id }, at) =>
      rules.findIndex((other) => other.id === id) === at
        ? []
        : [{ pointer: `/rules/${at}/id`, sentence: `a rule "${id}" stands here twice` }],
    ),
};
