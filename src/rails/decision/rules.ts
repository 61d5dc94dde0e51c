import type { Outcome } from '../events/decision.schema.js';
import type { Compiled, Expression, Expressions, Facts, Variable } from './expression.js';
import type { Rules } from './rules.schema.js';

export type ListKind = Rules['lists'][number]['kind'];

export interface CompiledRule {
  readonly id: string;
  readonly list: string;
  readonly kind: ListKind;
  readonly reasonCode: string;
  readonly outcome: Outcome | null;
  readonly shadow: boolean;
  readonly expression: Expression;
}

export interface Findings {
  readonly hits: readonly CompiledRule[];
  readonly shadowHits: readonly CompiledRule[];
  readonly faults: readonly { readonly rule: CompiledRule; readonly fault: string }[];
}

export interface RuleFault {
  readonly pointer: string;
  readonly sentence: string;
}

/** Every fault of the rules, each with its place; a rule that cannot be typed is refused when it is loaded, not when it matters. */
export function ruleFaults(rules: Rules, expressions: Expressions): readonly RuleFault[] {
  const faults: RuleFault[] = [];
  const ids = new Set<string>();
  rules.lists.forEach(({ kind, rules: own }, at) => {
    own.forEach(({ id, when }, index) => {
      const pointer = `/lists/${at}/rules/${index}`;
      if (ids.has(id)) faults.push({ pointer: `${pointer}/id`, sentence: `a rule "${id}" stands here twice` });
      ids.add(id);
      const compiled = expressions.compile(when);
      if (!compiled.ok)
        faults.push({
          pointer: `${pointer}/when`,
          sentence: `rule ${id}, character ${compiled.at + 1}: ${compiled.says}`,
        });
      else if (compiled.expression.readsScore && kind !== 'score')
        faults.push({ pointer: `${pointer}/when`, sentence: `rule ${id}: only rules of a score list read the score` });
    });
  });
  return faults;
}

/** @throws TypeError for rules with faults: they were checked when the artifact was read */
export function compileRules(rules: Rules, expressions: Expressions): readonly CompiledRule[] {
  return rules.lists.flatMap(({ name, kind, rules: own }) =>
    own.map((rule): CompiledRule => {
      const compiled: Compiled = expressions.compile(rule.when);
      if (!compiled.ok) throw new TypeError(`rule ${rule.id}: ${compiled.says}`);
      return {
        id: rule.id,
        list: name,
        kind,
        reasonCode: rule.reason_code,
        outcome: 'outcome' in rule ? rule.outcome : null,
        shadow: rule.shadow === true,
        expression: compiled.expression,
      };
    }),
  );
}

/** Whether it looks at nothing but the event's own fields: what may be asked when nothing else may be leant on. */
export function readsEventAlone({ expression }: CompiledRule): boolean {
  return !expression.readsScore && expression.reads.every(({ variable }) => variable === 'event');
}

/**
 * Evaluates rules on one event. A rule that reads a value that is not there, without asking by has(), does not apply. What an evaluation
 * meets (a division by zero) is contained: the rule counts as not hit, and the fault is recorded.
 */
export function evaluateRules(rules: readonly CompiledRule[], facts: Facts): Findings {
  const hits: CompiledRule[] = [];
  const shadowHits: CompiledRule[] = [];
  const faults: { rule: CompiledRule; fault: string }[] = [];
  for (const rule of rules) {
    const { needs, readsScore, evaluate } = rule.expression;
    if (readsScore && facts.score_e6 === undefined) continue;
    if (!needs.every(({ variable, name }) => isThere(facts, variable, name))) continue;
    try {
      if (evaluate(facts) === true) (rule.shadow ? shadowHits : hits).push(rule);
    } catch (error) {
      faults.push({ rule, fault: faultCode(error) });
    }
  }
  return { hits, shadowHits, faults };
}

function isThere(facts: Facts, variable: Variable, name: string): boolean {
  return (facts[variable] as Readonly<Record<string, unknown>>)[name] !== undefined;
}

/** A code of a closed set: the library's sentences may hold values. */
function faultCode(error: unknown): string {
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
  if (code === 'division_by_zero' || code === 'modulo_by_zero') return 'RULE_DIVISION_BY_ZERO';
  const text = typeof message === 'string' ? message : '';
  if (/(division|modulo) by zero/.test(text)) return 'RULE_DIVISION_BY_ZERO';
  return text.includes('overflow') ? 'RULE_OVERFLOW' : 'RULE_EVALUATION_FAILED';
}
