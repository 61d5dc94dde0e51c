import { type TSchema, Type } from '@sinclair/typebox';
import { OutcomeSchema, ReasonCodeSchema } from '../events/decision.schema.js';
import { closed, type Sealed } from '../schema.js';

/** Longer ones say two things, and are two rules. */
export const WHEN_CHARACTERS_MAX = 1_000;

const shared = {
  id: Type.String({ pattern: '^[a-z][a-z0-9_.-]{0,99}$', description: 'unique over all lists' }),
  when: Type.String({
    minLength: 1,
    maxLength: WHEN_CHARACTERS_MAX,
    description: 'a CEL expression over event, features, graph and, in score lists, score_e6; its type is bool',
  }),
  reason_code: ReasonCodeSchema,
  text: Type.String({ minLength: 1, maxLength: 300, description: 'the reason as people read it' }),
  shadow: Type.Optional(Type.Boolean({ description: 'evaluated and recorded, and never acts' })),
};

const RuleSchema = closed({ ...shared, outcome: OutcomeSchema });
const AllowRuleSchema = closed(shared);

const list = <Kind extends string, Rule extends TSchema>(kind: Kind, rule: Rule) =>
  closed({
    name: Type.String({ pattern: '^[a-z][a-z0-9_-]{0,63}$' }),
    kind: Type.Literal(kind),
    rules: Type.Array(rule, { maxItems: 200 }),
  });

/**
 * Rules in lists (`df.rules`). What a list does:
 * block: the verdict is at least the outcome, whatever anything else says. allow: model and raising rules have no say.
 * raise: the verdict is at least the outcome. score: what the model's score asks for; the highest that holds.
 * Block stands above allow; allow above raise and score. Where what a decision needs is missing, allow has no say.
 */
export const RulesSchema = closed(
  {
    lists: Type.Array(
      Type.Union([
        list('block', RuleSchema),
        list('allow', AllowRuleSchema),
        list('raise', RuleSchema),
        list('score', RuleSchema),
      ]),
      { maxItems: 32 },
    ),
  },
  { description: 'The rules of decisions.' },
);
export type Rules = Sealed<typeof RulesSchema>;
