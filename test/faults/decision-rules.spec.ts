import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { EVENT_FIELDS } from '../../src/rails/decision/artifacts.js';
import { EventFacts, Expressions, type Facts, FeatureFacts, GraphFacts } from '../../src/rails/decision/expression.js';
import type { DecisionTrigger } from '../../src/rails/decision/inputs.js';
import { compileRules, evaluateRules, ruleFaults } from '../../src/rails/decision/rules.js';
import { type Rules, WHEN_CHARACTERS_MAX } from '../../src/rails/decision/rules.schema.js';
import { digestText } from '../../src/rails/digest.js';
import { sealPolicy } from '../../src/rails/policy-rev.js';
import { asUtcMicros, toEpochMicros } from '../../src/rails/time.js';
import { engineOf, pins, shippedBundles } from '../contract/decision-fabric.kit.js';
import { supposed } from '../../src/rails/decision/artifacts.js';

const expressions = new Expressions({ event: EVENT_FIELDS, features: ['a', 'b'], graph: [], score: true });
const FAULTS: ReadonlySet<string> = new Set(['RULE_DIVISION_BY_ZERO', 'RULE_OVERFLOW', 'RULE_EVALUATION_FAILED']);

const rule = (id: string, when: string) => ({ id, when, outcome: 'DECLINE', reason_code: 'WHY', text: 'A reason.' });
const listed = (...rules: readonly object[]): Rules =>
  ({ lists: [{ name: 'list', kind: 'score', rules }] }) as unknown as Rules;

interface Values {
  readonly amount: bigint | undefined;
  readonly text: string | undefined;
  readonly a: bigint | undefined;
  readonly b: bigint | undefined;
}
function factsOf({ amount, text, a, b }: Values): Facts {
  const there = (members: Record<string, unknown>): object =>
    Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
  return {
    event: Object.assign(new EventFacts(), there({ amount_minor: amount, currency: text, country: text })),
    features: Object.assign(new FeatureFacts(), there({ a, b })),
    graph: new GraphFacts(),
    score_e6: 500_000n,
  };
}

const int64 = fc.oneof(
  fc.bigInt(-(2n ** 63n - 1n), 2n ** 63n - 1n),
  fc.constantFrom(0n, 1n, -1n, 2n ** 62n, 2n ** 63n - 1n, -(2n ** 63n - 1n)),
);
const values: fc.Arbitrary<Values> = fc.record({
  amount: fc.option(int64, { nil: undefined }),
  text: fc.option(fc.string({ unit: 'binary', maxLength: 40 }), { nil: undefined }),
  a: fc.option(int64, { nil: undefined }),
  b: fc.option(int64, { nil: undefined }),
});

/** Texts that look like CEL: mostly of the right shape, often of the wrong type, at times with what is not allowed. */
const celText: fc.Arbitrary<string> = fc.letrec<{ int: string; text: string; bool: string }>((tie) => ({
  int: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom('event.amount_minor', 'features.a', 'features.b', 'score_e6', '0', '1', '9223372036854775807'),
    fc.integer().map(String),
    fc.tuple(tie('int'), fc.constantFrom('+', '-', '*', '/', '%'), tie('int')).map(([l, op, r]) => `(${l} ${op} ${r})`),
    tie('text').map((text) => `size(${text})`),
    tie('int').map((one) => `-(${one})`),
    fc.tuple(tie('bool'), tie('int'), tie('int')).map(([c, l, r]) => `(${c} ? ${l} : ${r})`),
    // Now and then of the wrong type.
    fc.tuple(fc.nat(20), tie('text')).map(([n, text]) => (n === 0 ? text : '2')),
  ),
  text: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom('event.currency', 'event.country', '""', '"EUR"', '"\\u0000"', "'''x'''"),
    fc.tuple(tie('text'), tie('text')).map(([l, r]) => `(${l} + ${r})`),
    fc.nat(30).map((n) => ['event.amount_minor', 'event.nothing', 'string(1)', 'b"x"'][n] ?? '"EUR"'),
  ),
  bool: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom('true', 'has(features.a)', 'has(event.country)', 'event.currency in ["EUR", "USD"]'),
    fc
      .tuple(tie('int'), fc.constantFrom('<', '<=', '==', '!=', '>', '>='), tie('int'))
      .map(([l, op, r]) => `${l} ${op} ${r}`),
    fc.tuple(tie('bool'), fc.constantFrom('&&', '||'), tie('bool')).map(([l, op, r]) => `(${l} ${op} ${r})`),
    tie('bool').map((one) => `!(${one})`),
    fc
      .tuple(
        tie('text'),
        fc.nat(20).map((n) => (n === 0 ? 'matches' : (['startsWith', 'endsWith', 'contains'][n % 3] ?? 'contains'))),
        tie('text'),
      )
      .map(([l, name, r]) => `${l}.${name}(${r})`),
    fc.tuple(fc.nat(60), tie('bool')).map(([n, inner]) => {
      const loop = ['all', 'exists', 'exists_one', 'map', 'filter'][n];
      return loop === undefined ? inner : `[1, 2].${loop}(x, ${inner})`;
    }),
  ),
})).bool;

/** And texts that are broken, cut or made of anything. */
const anyText = fc
  .oneof(
    { weight: 6, arbitrary: celText },
    {
      weight: 2,
      arbitrary: fc
        .tuple(celText, fc.nat(), fc.string({ unit: 'binary', maxLength: 4 }))
        .map(
          ([text, at, junk]) => text.slice(0, at % (text.length + 1)) + junk + text.slice((at * 7) % (text.length + 1)),
        ),
    },
    { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 200 }) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(
          fc.constantFrom('(', '[', '!', '-', '{', '"', 'a.', 'true ? ', '1+', '\\', '\u0000'),
          fc.integer({ min: 1, max: WHEN_CHARACTERS_MAX }),
        )
        .map(([piece, times]) => piece.repeat(times)),
    },
  )
  .map((text) => text.slice(0, WHEN_CHARACTERS_MAX));

describe('rules of anybody', () => {
  it('whatever stands there, loading refuses it by its place and its name, or evaluating it gives an answer or a fault', () => {
    const count = { refused: 0, hit: 0, missed: 0, faults: 0 };
    fc.assert(
      fc.property(anyText, fc.array(values, { minLength: 1, maxLength: 4 }), (when, events) => {
        const rules = listed(rule('some.rule', when));
        const faults = ruleFaults(rules, expressions);
        if (faults.length > 0) {
          count.refused += 1;
          expect(faults).toHaveLength(1);
          expect(faults[0]?.pointer).toBe('/lists/0/rules/0/when');
          const [, at] = /^rule some\.rule, character (\d+): ./.exec(faults[0]?.sentence ?? '') ?? [];
          expect(Number(at)).toBeGreaterThanOrEqual(1);
          expect(Number(at)).toBeLessThanOrEqual(when.length + 1);
          return;
        }
        const compiled = compileRules(rules, expressions);
        for (const event of events) {
          const found = evaluateRules(compiled, factsOf(event));
          expect(found.hits.length + found.faults.length).toBeLessThanOrEqual(1);
          for (const { rule: faulty, fault } of found.faults) {
            expect(faulty.id).toBe('some.rule');
            expect(FAULTS.has(fault)).toBe(true);
          }
          count[found.faults.length > 0 ? 'faults' : found.hits.length > 0 ? 'hit' : 'missed'] += 1;
        }
      }),
      { numRuns: 3_000 },
    );
    // All four ends were reached, or the property would say little.
    expect(Math.min(...Object.values(count))).toBeGreaterThan(10);
  }, 60_000);

  const deep = (depth: number, open: string, close: string, inner: string): string =>
    open.repeat(depth) + inner + close.repeat(depth);
  it.each([
    ['a regular expression that backtracks', 'event.currency.matches("^(a+)+$")'],
    ['the same as a function', 'matches(event.currency, "^(a|a)*$")'],
    ['a loop over a list', '[1, 2, 3].all(x, x > 0)'],
    ['loops within loops', '[1,2].exists(a, [1,2].exists(b, [1,2].exists(c, a + b + c > 5)))'],
    ['a list made of a list', '[1, 2].map(x, [x, x]).size() > 1'],
    ['a text that is taken apart', 'event.currency.split("").size() > 1'],
    ['a text that is put together', '["a", "b"].join(event.currency) == "x"'],
    ['brackets beyond any need', deep(40, '(', ')', 'true')],
    ['lists beyond any need', `${deep(40, '[', ']', '1')} == [1]`],
    ['a chain of questions', `${'true ? '.repeat(40)}true${' : false'.repeat(40)}`],
    [
      'more words than anybody reads',
      Array.from({ length: 90 }, () => 'features.a>1')
        .join('||')
        .slice(0, WHEN_CHARACTERS_MAX),
    ],
    ['a list of a thousand', `event.amount_minor in [${Array.from({ length: 300 }, (_, n) => n % 10).join(',')}]`],
    ['a map', '{"a": 1}["a"] == 1'],
    ['the clock', 'timestamp("2020-01-01T00:00:00Z") < timestamp(event.currency)'],
    ['a value of any type', 'dyn(event.currency) == 1'],
  ])('%s is refused at load: its cost is not bounded by its length', (_, when) => {
    const [fault, ...more] = ruleFaults(listed(rule('fine', 'features.a > 1'), rule('endless', when)), expressions);
    expect(fault?.pointer).toBe('/lists/0/rules/1/when');
    expect(fault?.sentence).toMatch(/^rule endless, character \d+: /);
    expect(more).toEqual([]);
  });

  it('the longest text that can be put together is no longer than what the event brings, times the words of the rule', () => {
    const when = `size(${Array.from({ length: 40 }, () => 'event.currency').join(' + ')}) > 100000`;
    const compiled = compileRules(listed(rule('long', when)), expressions);
    const text = 'x'.repeat(10_000);
    expect(evaluateRules(compiled, factsOf({ amount: 1n, text, a: 1n, b: 1n })).hits.map(({ id }) => id)).toEqual([
      'long',
    ]);
  });

  it.each([
    [
      'a division by zero',
      'event.amount_minor / (event.amount_minor - event.amount_minor) > 1',
      'RULE_DIVISION_BY_ZERO',
    ],
    [
      'a remainder by zero',
      'event.amount_minor % (event.amount_minor - event.amount_minor) > 1',
      'RULE_DIVISION_BY_ZERO',
    ],
    ['a sum that overflows', 'event.amount_minor + 9223372036854775807 > 1', 'RULE_OVERFLOW'],
    [
      'a difference that overflows',
      '-9223372036854775807 - event.amount_minor - event.amount_minor < 1',
      'RULE_OVERFLOW',
    ],
    ['a product that overflows', 'event.amount_minor * 9223372036854775807 > 1', 'RULE_OVERFLOW'],
  ])('%s is contained: the rule is named in the decision, and the rules beside it speak', (_, when, fault) => {
    const engine = engineOf({
      rules: sealPolicy('df.rules', 1, {
        lists: [
          { name: 'first', kind: 'block', rules: [rule('faulty', when)] },
          { name: 'second', kind: 'raise', rules: [{ ...rule('sound', 'event.amount_minor > 1'), outcome: 'QUEUE' }] },
        ],
      }),
    }).with(supposed(shippedBundles()));
    const ts_utc = asUtcMicros('2026-01-31T12:00:00.000000Z');
    const ebRef = { topic: 'fp.bus.traffic.v1', partition: 0, offset: 1 };
    const trigger = {
      ...{
        pins,
        eventId: 'one',
        eventType: 'transaction',
        ts: toEpochMicros(ts_utc),
        tsUtc: ts_utc,
        partition: 0,
        offset: 1,
      },
      ...{
        ebRef,
        payloadHash: digestText('one'),
        entityKey: 'card',
        payload: { amount_minor: 1_230, currency: 'EUR' },
      },
    } as unknown as DecisionTrigger;
    const plan = engine.plan({ status: 'UNAVAILABLE' });
    const decision = engine.decide(trigger, plan, { status: 'FORBIDDEN_BY_MASK' }, { status: 'NOT_REQUESTED_BY_PLAN' });
    expect(decision.rules).toMatchObject({ faults: [{ rule_id: 'faulty', fault }], hits: [{ rule_id: 'sound' }] });
    expect(decision.outcome).toBe('QUEUE');
  });
});
