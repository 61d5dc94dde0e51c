import canonicalize from 'canonicalize';
import { type Brand } from './brand.js';
import { digestText, type Digest } from './digest.js';
import { ProbityError } from './errors/probity-error.js';

/** A JSON value in its one canonical text of RFC 8785: equal values have equal texts, and so equal digests. */
export type CanonicalJson = Brand<string, 'CanonicalJson'>;

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: JsonValue;
}

/**
 * How deep arrays and objects may lie in each other. Parsers read deeper texts than a recursive writer can walk:
 * without a limit a payload of 20,000 opening brackets ends in a stack overflow. It also ends every cycle.
 */
const DEPTH_MAX = 128;

/**
 * The canonical text of a value.
 *
 * The library behind it follows `JSON.stringify` in leaving out, replacing or converting what JSON does not have
 * (undefined, symbols, dates, typed arrays, sparse arrays …). Two values that differ would then share one digest, so all of
 * that is refused before it gets there. Numbers: -0 and 0 are the same JSON number and share the text `0`.
 *
 * RFC 8785 writes texts and numbers as ECMAScript does, so of a value whose members stand in order already the engine's own `JSON.stringify` is the
 * canonical text, at a fraction of the time; the library sorts the others.
 *
 * @throws ProbityError CANONICAL_FORM_INVALID that names the place (`$.items[3].name`), never the value
 */
export function canonicalJson(value: unknown): CanonicalJson {
  const inOrder = demandJson(value, []);
  return (inOrder ? JSON.stringify(value) : canonicalize(value)) as CanonicalJson;
}

/**
 * The object with its own members in canonical order, those below left as they are: for objects put together from parts that stand in order already,
 * which the engine then writes and nobody sorts at all levels.
 */
export function inOrder<Value extends object>(value: Value): Value {
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) as Value;
}

/** sha-256 over the UTF-8 bytes of the canonical text. */
export function digestCanonical(value: unknown): Digest {
  return digestText(canonicalJson(value));
}

/**
 * Takes a text that claims to be canonical, such as a stored record, at its word only when it is.
 * @throws ProbityError CANONICAL_FORM_INVALID
 */
export function asCanonicalJson(text: string): CanonicalJson {
  if (canonicalJson(parseJson(text)) !== text) throw refused([], 'the text is JSON, but not in its canonical form');
  return text as CanonicalJson;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ProbityError('CANONICAL_FORM_INVALID', 'the text is not JSON', { cause });
  }
}

/** Where the walk stands. One array for the whole walk: texts of places are made only for the one that is refused. */
type Path = (string | number)[];

/** @returns whether all members stand in canonical order already, as in everything that was parsed from a canonical text */
function demandJson(value: unknown, path: Path): boolean {
  switch (typeof value) {
    case 'boolean':
      return true;
    case 'string':
      if (!value.isWellFormed()) throw refused(path, 'the text has half of a surrogate pair');
      return true;
    case 'number':
      if (!Number.isFinite(value)) throw refused(path, 'the number is not finite');
      return true;
    case 'object':
      if (value === null) return true;
      if (path.length === DEPTH_MAX) throw refused([], `the value is cyclic or nested deeper than ${DEPTH_MAX} levels`);
      if (typeof Reflect.get(value, 'toJSON') === 'function')
        throw refused(path, 'the object replaces itself by toJSON');
      return Array.isArray(value) ? demandArray(value, path) : demandObject(value, path);
    case 'undefined':
    case 'bigint':
    case 'symbol':
    case 'function':
      throw refused(path, `${typeof value} does not exist in JSON`);
  }
}

function demandArray(value: readonly unknown[], path: Path): boolean {
  // The own keys are the indices and `length`: one more or less means members beside the elements, or holes.
  if (Reflect.ownKeys(value).length !== value.length + 1) throw refused(path, 'the array has holes or extra members');
  let inOrder = true;
  for (let index = 0; index < value.length; index += 1) inOrder = demandMember(value, index, path) && inOrder;
  return inOrder;
}

function demandObject(value: object, path: Path): boolean {
  // A prototype that has none itself is the Object.prototype of some realm: objects of another realm are plain, too.
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) throw refused(path, 'the object is not plain');
  let inOrder = true;
  let last = '';
  for (const key of Reflect.ownKeys(value)) {
    if (typeof key === 'symbol') throw refused(path, 'the object has a symbol as a key');
    if (!key.isWellFormed()) throw refused(path, 'a key has half of a surrogate pair');
    // Texts compare by UTF-16 code units, which is the order of RFC 8785.
    inOrder = key >= last && inOrder;
    last = key;
    inOrder = demandMember(value, key, path) && inOrder;
  }
  return inOrder;
}

function demandMember(holder: object, key: string | number, path: Path): boolean {
  path.push(key);
  const member = Object.getOwnPropertyDescriptor(holder, key);
  // A hidden member would be left out, a hole would become null.
  if (member?.enumerable !== true) throw refused(path, 'the member is hidden or missing');
  // A getter has no value here and is refused as undefined: it might answer differently when the writer asks again.
  const inOrder = demandJson(member.value, path);
  path.pop();
  return inOrder;
}

function refused(path: Path, why: string): ProbityError {
  const place = path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${step.slice(0, 80)}`)).join('');
  return new ProbityError('CANONICAL_FORM_INVALID', `${why} (at $${place.slice(0, 400)})`);
}
