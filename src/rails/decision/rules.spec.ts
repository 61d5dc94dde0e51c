import { describe, expect, it } from '@jest/globals';
import { EVENT_FIELDS } from './artifacts.js';
import { EventFacts, Expressions, FeatureFacts, GraphFacts } from './expression.js';
import { compileRules, evaluateRules, readsEventAlone, ruleFaults } from './rules.js';
import type { Rules } from './rules.schema.js';

const expressions = new Expressions({ event: EVENT_FIELDS, features: ['a', 'b'], graph: [], score: true });

const rule = (id: string, when: string, more: object = {}) => ({
  id,
  when,
  outcome: 'DECLINE' as const,
  reason_code: id.toUpperCase(),
  text: 'A reason.',
  ...more,
});
const listed = (...rules: readonly object[]): Rules =>
  ({ lists: [{ name: 'raise', kind: 'raise', rules }] }) as unknown as Rules;
const sentences = (rules: Rules): readonly string[] =>
  ruleFaults(rules, expressions).map(({ pointer, sentence }) => `${pointer} ${sentence}`);

function facts(event: object, features: object = {}, score?: bigint) {
  return {
    event: Object.assign(new EventFacts(), event),
    features: Object.assign(new FeatureFacts(), features),
    graph: new GraphFacts(),
    ...(score === undefined ? {} : { score_e6: score }),
  };
}

describe('rules are refused when they are loaded', () => {
  it('one that is sound is not', () => {
    expect(sentences(listed(rule('fine', 'event.amount_minor > 100 && features.a >= 2')))).toEqual([]);
  });

  it.each([
    ['an unknown field', 'event.amont_minor > 1', 'character 7: No such key: amont_minor'],
    ['an unknown feature', 'features.c > 1', 'character 10: No such key: c'],
    ['an unknown variable', 'account.age > 1', 'character 1: Unknown variable: account'],
    ['types that do not go together', 'event.amount_minor > "much"', 'no such overload: int > string'],
    ['a value that is no verdict', 'event.amount_minor + 1', 'the expression is of type int, not bool'],
    ['half an expression', 'event.amount_minor >', 'Unexpected token'],
    ['a regular expression, whose cost nobody knows', 'event.currency.matches("(a+)+$")', 'matches() is not allowed'],
    ['a loop', '[1, 2].exists(x, x > 1)', 'exists() is not allowed'],
    ['the clock', 'timestamp(event.currency) > timestamp("2020-01-01T00:00:00Z")', 'timestamp() is not allowed'],
    ['a field by a computed name', 'event["currency"] == "EUR"', 'the operator [] is not allowed'],
    ['the graph, where nobody keeps one', 'graph.component_size > 3', 'No such key: component_size'],
  ])('%s', (_, when, says) => {
    const [fault, ...more] = sentences(listed(rule('wrong', when)));
    expect(fault).toContain('/lists/0/rules/0/when rule wrong');
    expect(fault).toContain(says);
    expect(more).toEqual([]);
  });

  it('an expression that is nested too deeply, or too long for its limits', () => {
    const deep = `${'('.repeat(60)}event.amount_minor > 1${')'.repeat(60)}`;
    expect(sentences(listed(rule('deep', deep)))).toHaveLength(1);
    const long = Array.from({ length: 200 }, (_, n) => `event.amount_minor == ${n}`).join(' || ');
    expect(sentences(listed(rule('long', long)))).toHaveLength(1);
  });

  it('a name that stands there twice, and a score outside of a score list', () => {
    expect(sentences(listed(rule('one', 'features.a > 1'), rule('one', 'features.a > 2')))).toEqual([
      '/lists/0/rules/1/id a rule "one" stands here twice',
    ]);
    expect(sentences(listed(rule('score', 'score_e6 > 1')))).toEqual([
      '/lists/0/rules/0/when rule score: only rules of a score list read the score',
    ]);
  });
});

describe('rules on one event', () => {
  const found = (rules: Rules, ...args: Parameters<typeof facts>) => {
    const { hits, shadowHits, faults } = evaluateRules(compileRules(rules, expressions), facts(...args));
    return {
      hits: hits.map(({ id }) => id),
      shadow: shadowHits.map(({ id }) => id),
      faults: faults.map(({ rule: { id }, fault }) => `${id} ${fault}`),
    };
  };

  it('hit where they hold, in the order in which they stand', () => {
    const rules = listed(
      rule('b', 'event.amount_minor > 100'),
      rule('a', 'features.a == 3'),
      rule('c', 'features.a > 3'),
    );
    expect(found(rules, { amount_minor: 101n }, { a: 3n })).toEqual({ hits: ['b', 'a'], shadow: [], faults: [] });
  });

  it('do not apply where a value is missing that they do not ask for', () => {
    const rules = listed(
      rule('bare', 'features.a > 1 || event.amount_minor > 0'),
      rule('asked', '!has(features.a) && event.amount_minor > 0'),
    );
    expect(found(rules, { amount_minor: 5n })).toEqual({ hits: ['asked'], shadow: [], faults: [] });
    expect(found(rules, { amount_minor: 5n }, { a: 0n })).toEqual({ hits: ['bare'], shadow: [], faults: [] });
  });

  it('that meet a division by zero or an overflow are contained: not hit, and recorded', () => {
    const rules = listed(
      rule('zero', 'features.a / features.b > 2'),
      rule('over', 'features.a * features.a > 2'),
      rule('fine', 'features.a > 2'),
    );
    const huge = 2n ** 62n;
    expect(found(rules, {}, { a: huge, b: 0n })).toEqual({
      hits: ['fine'],
      shadow: [],
      faults: ['zero RULE_DIVISION_BY_ZERO', 'over RULE_OVERFLOW'],
    });
    expect(found(rules, {}, { a: 9n, b: 3n })).toEqual({ hits: ['zero', 'over', 'fine'], shadow: [], faults: [] });
  });

  it('that are only watched are recorded apart', () => {
    const rules = listed(rule('watched', 'features.a > 2', { shadow: true }), rule('acting', 'features.a > 2'));
    expect(found(rules, {}, { a: 3n })).toEqual({ hits: ['acting'], shadow: ['watched'], faults: [] });
  });

  it('are known by what they read: those that look at the event alone', () => {
    const rules = compileRules(
      listed(rule('event', 'event.amount_minor > 1'), rule('feature', 'event.amount_minor > 1 && features.a > 1')),
      expressions,
    );
    expect(rules.filter(readsEventAlone).map(({ id }) => id)).toEqual(['event']);
  });
});
