import type { Static, TSchema } from '@sinclair/typebox';
import type { CallContext, RpcContract, RpcMethod } from './rpc.port.js';

/** The methods of a contract as TypeScript sees them: `(request, context) => Promise<response>`, typed by the schemas. */
export type PortOf<Contract extends RpcContract> = {
  readonly [Method in keyof Contract['methods']]: (
    request: Static<Contract['methods'][Method]['request']>,
    context: CallContext,
  ) => Promise<Static<Contract['methods'][Method]['response']>>;
};

export interface TypedContract<Methods extends Readonly<Record<string, RpcMethod>>> extends RpcContract {
  readonly methods: Methods;
}

const ROLE = /^[a-z][a-z0-9-]{0,31}$/;
const METHOD = /^[a-z][A-Za-z0-9]{0,63}$/;

/**
 * Defines the wire form of a port. Every object schema that does not say what else it takes is closed: an unknown member is
 * refused, for what one side silently drops and the other one meant is how two builds come to disagree.
 *
 * To hold the abstract class beside it to the same shapes, let it `implement PortOf<typeof CONTRACT>`.
 *
 * @throws TypeError for a role or method that cannot stand in the path: a defect of the program, found at its start
 */
export function defineContract<const Methods extends Readonly<Record<string, RpcMethod>>>(
  role: string,
  methods: Methods,
): TypedContract<Methods> {
  if (!ROLE.test(role)) throw new TypeError(`rpc contract: ${role} is not the name of a role`);
  const closed = Object.entries(methods).map(([name, method]) => {
    if (!METHOD.test(name)) throw new TypeError(`rpc contract: ${role}.${name} is not a method name`);
    return [name, { ...method, request: close(method.request), response: close(method.response) }] as const;
  });
  // The same names and types as given; only `additionalProperties` was filled in.
  return { role, methods: Object.fromEntries(closed) as unknown as Methods };
}

/** A copy of the schema in which each object with named members is closed, unless it says otherwise itself. */
function close(schema: TSchema): TSchema {
  return closeNode(schema) as TSchema;
}

function closeNode(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(closeNode);
  if (typeof node !== 'object' || node === null) return node;
  if (isIntersection(node)) {
    throw new TypeError('rpc contract: use Type.Composite for Type.Intersect, whose parts would refuse each other');
  }
  const copy: Record<PropertyKey, unknown> = {};
  // TypeBox keeps its kinds under symbols, so those are copied, too.
  for (const key of Reflect.ownKeys(node)) {
    const held: unknown = Reflect.get(node, key);
    // `const`, `enum`, `default` and `examples` hold values, not schemas.
    copy[key] = typeof key === 'symbol' || VALUES.has(key) ? held : closeNode(held);
  }
  const isObjectSchema = copy['type'] === 'object' && ('properties' in copy || 'patternProperties' in copy);
  if (isObjectSchema && !('additionalProperties' in copy)) copy['additionalProperties'] = false;
  return copy;
}

const VALUES: ReadonlySet<string> = new Set(['const', 'enum', 'default', 'examples', 'required']);

function isIntersection(node: object): boolean {
  return 'allOf' in node && Array.isArray(node.allOf) && node.allOf.length > 1;
}
