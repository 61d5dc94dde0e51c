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

const LONE_SURROGATE = /\p{Surrogate}/u;

/**
 * The canonical text of a value.
 *
 * The library behind it follows `JSON.stringify` in leaving out, replacing or converting what JSON does not have
 * (undefined, symbols, dates, typed arrays, sparse arrays …). Two values that differ would then share one digest, so all of
 * that is refused before it gets there. Numbers: -0 and 0 are the same JSON number and share the text `0`.
 *
 * @throws ProbityError CANONICAL_FORM_INVALID that names the place (`$.items[3].name`), never the value
 */
export function canonicalJson(value: unknown): CanonicalJson {
  demandJson(value, []);
  return canonicalize(value) as CanonicalJson;
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

function demandJson(value: unknown, path: Path): void {
  switch (typeof value) {
    case 'boolean':
      return;
    case 'string':
      if (LONE_SURROGATE.test(value)) throw refused(path, 'the text has half of a surrogate pair');
      return;
    case 'number':
      if (!Number.isFinite(value)) throw refused(path, 'the number is not finite');
      return;
    case 'object':
      if (value === null) return;
      if (path.length === DEPTH_MAX) throw refused([], `the value is cyclic or nested deeper than ${DEPTH_MAX} levels`);
      if (typeof Reflect.get(value, 'toJSON') === 'function')
        throw refused(path, 'the object replaces itself by toJSON');
      if (Array.isArray(value)) demandArray(value, path);
      else demandObject(value, path);
      return;
    case 'undefined':
    case 'bigint':
    case 'symbol':
    case 'function':
      throw refused(path, `${typeof value} does not exist in JSON`);
  }
}

function demandArray(value: readonly unknown[], path: Path): void {
  // The own keys are the indices and `length`: one more or less means members beside the elements, or holes.
  if (Reflect.ownKeys(value).length !== value.length + 1) throw refused(path, 'the array has holes or extra members');
  for (let index = 0; index < value.length; index += 1) demandMember(value, index, path);
}

function demandObject(value: object, path: Path): void {
  // A prototype that has none itself is the Object.prototype of some realm: objects of another realm are plain, too.
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) throw refused(path, 'the object is not plain');
  for (const key of Reflect.ownKeys(value)) {
    if (typeof key === 'symbol') throw refused(path, 'the object has a symbol as a key');
    if (LONE_SURROGATE.test(key)) throw refused(path, 'a key has half of a surrogate pair');
    demandMember(value, key, path);
  }
}

function demandMember(holder: object, key: string | number, path: Path): void {
  path.push(key);
  const member = Object.getOwnPropertyDescriptor(holder, key);
  // A hidden member would be left out, a hole would become null.
  if (member?.enumerable !== true) throw refused(path, 'the member is hidden or missing');
  // A getter has no value here and is refused as undefined: it might answer differently when the writer asks again.
  demandJson(member.value, path);
  path.pop();
}

function refused(path: Path, why: string): ProbityError {
  const place = path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${step.slice(0, 80)}`)).join('');
  return new ProbityError('CANONICAL_FORM_INVALID', `${why} (at $${place.slice(0, 400)})`);
}
