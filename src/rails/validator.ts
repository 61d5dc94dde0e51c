import { type TSchema } from '@sinclair/typebox';
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import { ProbityError } from './errors/probity-error.js';
import { type Sealed } from './schema.js';
import { isUtcMicros } from './time.js';

/** The first thing that is wrong with a value: where (JSON pointer, `` for the root) and what. Never the value itself. */
export interface Fault {
  readonly at: string;
  readonly says: string;
}

export type Verdict<Value> =
  { readonly ok: true; readonly value: Value } | { readonly ok: false; readonly fault: Fault };

export interface Validator<Value> {
  /** For callers that turn the refusal into an answer of their own. */
  check(value: unknown): Verdict<Value>;
  /** @throws ProbityError VALUE_INVALID that names the place */
  demand(value: unknown): Value;
}

/**
 * A validator of one schema. It changes nothing in what it is given: no coercion, no defaults, no removal of unknown
 * members, since a value that was repaired on the way is not the one that its digest names.
 *
 * The compilation (some milliseconds) waits for the first use, so that importing a schema costs nothing.
 * `what` names the value in errors: "a ref", "the envelope".
 */
export function validatorOf<Schema extends TSchema>(schema: Schema, what: string): Validator<Sealed<Schema>> {
  let compiled: ValidateFunction | undefined;

  function check(value: unknown): Verdict<Sealed<Schema>> {
    compiled ??= compile(schema);
    if (compiled(value)) return { ok: true, value: value as Sealed<Schema> };
    return { ok: false, fault: faultOf(compiled.errors?.[0]) };
  }

  return {
    check,
    demand(value) {
      const verdict = check(value);
      if (verdict.ok) return verdict.value;
      const { at, says } = verdict.fault;
      throw new ProbityError('VALUE_INVALID', `${what} ${at === '' ? '' : `at ${at} `}${says}`, { data: { at } });
    },
  };
}

function compile(schema: TSchema): ValidateFunction {
  // The first error ends the check: an attacker who sends ten thousand faults must not be paid with ten thousand reports.
  const ajv = new Ajv2020({ strict: true, allErrors: false, ownProperties: true, inlineRefs: false });
  // The pattern beside this format fixes the digits; the format adds what a pattern cannot know: 30 February.
  ajv.addFormat('date-time', { type: 'string', validate: isUtcMicros });
  return ajv.compile(inParts(schema));
}

/** Members of a schema that hold values, not schemas. */
const VALUES = new Set(['const', 'default', 'enum', 'examples']);

/**
 * The same schema with each object in a definition of its own, equal ones once, and with unions of constants as one `enum`. A definition becomes a
 * function of its own: as one function the check of a decision is too long for the engine to optimise (it takes three times as long), and a union
 * that is tried one by one makes an error for each member that does not fit. The published schemas keep their shape.
 */
export function inParts(schema: object): object {
  const definitions: Record<string, unknown> = {};
  const names = new Map<string, string>();

  function partOf(value: unknown): unknown {
    if (typeof value !== 'object' || value === null) return value;
    if (Array.isArray(value)) return value.map(partOf);
    if ((value as { type?: unknown }).type !== 'object') return membersOf(value);
    const text = JSON.stringify(value);
    const name = names.get(text) ?? `part${names.size}`;
    if (!names.has(text)) {
      names.set(text, name);
      definitions[name] = membersOf(value);
    }
    return { $ref: `#/$defs/${name}` };
  }

  function membersOf(value: object): Readonly<Record<string, unknown>> {
    const parts = Object.entries(value).map(
      ([key, member]) => [key, VALUES.has(key) ? member : partOf(member)] as const,
    );
    const { anyOf, ...rest } = Object.fromEntries(parts);
    const constants = constantsOf(anyOf);
    return constants === null ? (anyOf === undefined ? rest : { ...rest, anyOf }) : { ...rest, enum: constants };
  }

  const whole = membersOf(JSON.parse(JSON.stringify(schema)) as object);
  return { ...whole, $defs: definitions };
}

function constantsOf(union: unknown): readonly unknown[] | null {
  if (!Array.isArray(union)) return null;
  const members: readonly unknown[] = union;
  const constants = members.flatMap((member) =>
    typeof member === 'object' && member !== null && 'const' in member ? [member.const] : [],
  );
  return constants.length === members.length ? constants : null;
}

function faultOf(error: ErrorObject | undefined): Fault {
  if (error === undefined) return { at: '', says: 'is not valid' };
  const at = error.instancePath;
  const params: Readonly<Record<string, unknown>> = error.params;
  // The name of an unknown member is the sender's own text: cut, so that a log line cannot be flooded through it.
  const unknown = params['additionalProperty'] ?? params['unevaluatedProperty'];
  if (typeof unknown === 'string')
    return { at, says: `has a member that is not allowed: ${JSON.stringify(unknown.slice(0, 80))}` };
  if (error.keyword === 'false schema') return { at, says: 'must not be there beside the other members' };
  return { at, says: error.message ?? 'is not valid' };
}
