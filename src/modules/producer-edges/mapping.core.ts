import { type JsonObject, type JsonValue } from '../../rails/canonical-json.js';
import { pointerSteps, valueAt } from '../../rails/json-pointer.js';
import { isPlainObject } from './transaction.core.js';

/** Where a member of our transaction comes from: a place in the record, or a value that is always the same. */
type Origin = { readonly path: readonly string[] } | { readonly constant: JsonValue };

/** Compiled once per source, so that a record costs one look per member. */
export type RecordMapping = ReadonlyMap<string, Origin>;

const MEMBER = /^[a-z][a-z0-9_]{0,63}$/;

/** What is wrong with a mapping that a policy brings; the pointer leads into the mapping. */
export function mappingFaults(mapping: JsonObject): readonly { readonly pointer: string; readonly sentence: string }[] {
  return Object.entries(mapping).flatMap(([member, origin]) => {
    const pointer = `/${member.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    if (!MEMBER.test(member)) return [{ pointer, sentence: 'is no member of a transaction' }];
    if (originOf(origin) !== undefined) return [];
    return [{ pointer, sentence: 'must be a member of the record, a JSON Pointer into it, or {constant: value}' }];
  });
}

/** The mapping of a policy that `mappingFaults` found nothing wrong with. */
export function compileMapping(mapping: JsonObject): RecordMapping {
  const compiled = new Map<string, Origin>();
  for (const [member, given] of Object.entries(mapping)) {
    const origin = originOf(given);
    if (origin === undefined) throw new TypeError(`the mapping of ${member} was not checked`);
    compiled.set(member, origin);
  }
  return compiled;
}

/** The transaction that a record stands for. What the record does not have, or has as null, is absent. */
export function mapped(record: unknown, mapping: RecordMapping): unknown {
  if (!isPlainObject(record)) return record;
  const transaction: Record<string, unknown> = {};
  for (const [member, origin] of mapping) {
    const value = 'constant' in origin ? origin.constant : valueAt(record, origin.path);
    if (value !== undefined && value !== null) transaction[member] = value;
  }
  return transaction;
}

function originOf(given: JsonValue | undefined): Origin | undefined {
  if (typeof given === 'string')
    return given.startsWith('/') ? pointed(given) : given === '' ? undefined : { path: [given] };
  if (!isPlainObject(given) || Object.keys(given).length !== 1) return undefined;
  const constant = given['constant'];
  const isScalar = typeof constant === 'string' || typeof constant === 'number' || typeof constant === 'boolean';
  return isScalar ? { constant } : undefined;
}

/** RFC 6901. */
function pointed(pointer: string): Origin | undefined {
  if (/~(?![01])/.test(pointer)) return undefined;
  return { path: pointerSteps(pointer) };
}
