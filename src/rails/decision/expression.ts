import { type ASTNode, Environment } from '@marcbachmann/cel-js';
import type { TSchema } from '@sinclair/typebox';

/** What an expression may read: the members of each variable with their types. Whole numbers are 64-bit in CEL. */
export interface Readable {
  readonly event: Readonly<Record<string, 'int' | 'string'>>;
  readonly features: readonly string[];
  readonly graph: readonly string[];
  /** Whether there is a score to read. */
  readonly score: boolean;
}

export type Variable = 'event' | 'features' | 'graph';

/** The values of one event; a member that is not there is missing. */
export interface Facts {
  readonly event: object;
  readonly features: object;
  readonly graph: object;
  readonly score_e6?: bigint;
}

export interface Expression {
  /** Members that it reads without asking by has(): without one of them it does not apply. */
  readonly needs: readonly { readonly variable: Variable; readonly name: string }[];
  /** All that it reads. */
  readonly reads: readonly { readonly variable: Variable; readonly name: string }[];
  readonly readsScore: boolean;
  /** @throws whatever the expression meets: a division by zero, an overflow */
  readonly evaluate: (facts: Facts) => unknown;
}

export type Compiled =
  | { readonly ok: true; readonly expression: Expression }
  | { readonly ok: false; readonly says: string; readonly at: number };

// Instances of declared classes are read as they are; anything else would be copied at each evaluation.
export class EventFacts {}
export class FeatureFacts {}
export class GraphFacts {}

/** Operators and functions whose cost is bounded by the length of the expression. Regular expressions and loops are not among them. */
const OPERATORS: ReadonlySet<string> = new Set([
  '.',
  'id',
  'value',
  'list',
  '||',
  '&&',
  '==',
  '!=',
  '<',
  '<=',
  '>',
  '>=',
  '+',
  '-',
  '*',
  '/',
  '%',
  'in',
  '!_',
  '-_',
  '?:',
]);
const FUNCTIONS: ReadonlySet<string> = new Set(['has', 'size', 'startsWith', 'endsWith', 'contains']);

/** Compiles expressions against what may be read; one environment for all rules of an artifact. */
export class Expressions {
  readonly #environment: Environment;

  constructor({ event, features, graph, score }: Readable) {
    const ints = (names: readonly string[]): Record<string, string> =>
      Object.fromEntries(names.map((name) => [name, 'int']));
    this.#environment = new Environment({
      limits: { maxAstNodes: 300, maxDepth: 24, maxListElements: 100, maxMapEntries: 0, maxCallArguments: 4 },
    })
      .registerType('Event', { ctor: EventFacts, fields: { ...event } })
      .registerType('Features', { ctor: FeatureFacts, fields: ints(features) })
      .registerType('Graph', { ctor: GraphFacts, fields: ints(graph) })
      .registerVariable('event', 'Event')
      .registerVariable('features', 'Features')
      .registerVariable('graph', 'Graph');
    if (score) this.#environment.registerVariable('score_e6', 'int');
  }

  compile(text: string): Compiled {
    try {
      const parsed = this.#environment.parse(text);
      const unbounded = firstUnbounded(parsed.ast);
      if (unbounded !== null)
        return { ok: false, at: unbounded.at, says: `${unbounded.what} is not allowed: its cost is not bounded` };
      const checked = parsed.check();
      if (!checked.valid) return refused(checked.error);
      if (checked.type !== 'bool')
        return { ok: false, at: 0, says: `the expression is of type ${String(checked.type)}, not bool` };
      const reads = new Map<string, { readonly variable: Variable; readonly name: string }>();
      const asked = new Set<string>();
      const score = collect(parsed.ast, reads, asked);
      const all = [...reads.values()];
      return {
        ok: true,
        expression: {
          reads: all,
          needs: all.filter(({ variable, name }) => !asked.has(`${variable}.${name}`)),
          readsScore: score,
          evaluate: (facts) => parsed(facts) as unknown,
        },
      };
    } catch (error) {
      return refused(error);
    }
  }
}

/** Fields of a payload that an expression can read: texts and whole numbers. */
export function readableFields(schema: TSchema): Readonly<Record<string, 'int' | 'string'>> {
  const properties = (schema['properties'] ?? {}) as Readonly<Record<string, TSchema>>;
  return Object.fromEntries(
    Object.entries(properties).flatMap(([name, member]): [string, 'int' | 'string'][] => {
      const kind = kindOf(member);
      return kind === null ? [] : [[name, kind]];
    }),
  );
}

function kindOf(member: TSchema): 'int' | 'string' | null {
  if (member['type'] === 'integer') return 'int';
  if (member['type'] === 'string') return 'string';
  const options = member['anyOf'] as readonly TSchema[] | undefined;
  return options?.every((option) => typeof option['const'] === 'string') === true ? 'string' : null;
}

function refused(error: unknown): Compiled {
  const { message, node, range } = error as {
    readonly message?: string;
    readonly node?: { readonly pos?: number };
    readonly range?: { readonly start?: number };
  };
  // The library draws the place under the sentence; the sentence is enough beside a pointer.
  const [says = 'the expression cannot be read'] = (message ?? '').split('\n');
  return { ok: false, says, at: node?.pos ?? range?.start ?? 0 };
}

function firstUnbounded(node: ASTNode): { readonly what: string; readonly at: number } | null {
  const { op, args, pos } = node as { readonly op: string; readonly args: unknown; readonly pos: number };
  if (op === 'call' || op === 'rcall') {
    const [name] = args as readonly [string];
    if (!FUNCTIONS.has(name)) return { what: `${name}()`, at: pos };
  } else if (!OPERATORS.has(op)) return { what: `the operator ${op}`, at: pos };
  for (const child of childrenOf(node)) {
    const found = firstUnbounded(child);
    if (found !== null) return found;
  }
  return null;
}

/** @returns whether the score is read */
function collect(
  node: ASTNode,
  reads: Map<string, { readonly variable: Variable; readonly name: string }>,
  asked: Set<string>,
): boolean {
  const { op, args } = node as { readonly op: string; readonly args: unknown };
  const member = memberOf(node);
  if (member !== null) {
    reads.set(`${member.variable}.${member.name}`, member);
    return false;
  }
  if (op === 'id') return args === 'score_e6';
  if (op === 'call' && (args as readonly [string])[0] === 'has') {
    for (const child of childrenOf(node)) {
      const one = memberOf(child);
      if (one !== null) asked.add(`${one.variable}.${one.name}`);
    }
  }
  let score = false;
  for (const child of childrenOf(node)) score = collect(child, reads, asked) || score;
  return score;
}

function memberOf(node: ASTNode): { readonly variable: Variable; readonly name: string } | null {
  const { op, args } = node as { readonly op: string; readonly args: unknown };
  if (op !== '.') return null;
  const [holder, name] = args as readonly [ASTNode, string];
  const { op: inner, args: variable } = holder as { readonly op: string; readonly args: unknown };
  if (inner !== 'id' || (variable !== 'event' && variable !== 'features' && variable !== 'graph')) return null;
  return { variable, name };
}

function childrenOf({ args }: ASTNode): readonly ASTNode[] {
  const flat = (value: unknown): readonly ASTNode[] => {
    if (Array.isArray(value)) return value.flatMap(flat);
    return typeof value === 'object' && value !== null && 'op' in value ? [value as ASTNode] : [];
  };
  return flat(args);
}
