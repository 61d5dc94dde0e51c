import { digestBytes } from '../../rails/digest.js';
import { isSecretKey, REDACTED, redactText } from './redaction.patterns.js';

/** A line of the log is for a person's eye and an index's appetite; what is larger belongs into the object store. */
const DEPTH_MAX = 8;
const ENTRIES_MAX = 100;
/** Values in one line altogether: 100 entries eight levels deep would be 10^16. */
const NODES_MAX = 2_000;
const TEXT_CHARACTERS_MAX = 8_192;
/** Text beyond this is cut before it is looked at, so that the work for a line is bounded. */
const SCANNED_CHARACTERS_MAX = 16_384;
/** Hashing a mebibyte takes one or two milliseconds; of what is larger only the size is shown. */
const DIGESTED_BYTES_MAX = 1_048_576;

export type Plain = string | number | boolean | null | readonly Plain[] | { readonly [key: string]: Plain };

/**
 * A copy of anything that is safe to write into a log: plain JSON, bounded, without secrets and without payload bodies
 * (law O2, C3). It looks into errors (message, stack, cause, own members), maps, sets, getters and `toJSON`, and keeps
 * going where those throw: a log call never fails the work that it reports on.
 */
export function redact(value: unknown): Plain {
  return new Redaction().plain(value, 0);
}

class Redaction {
  /** The way down to where we are, to notice circles; what merely occurs twice is written twice. */
  readonly #path = new Set<object>();
  #nodes = 0;

  plain(value: unknown, depth: number): Plain {
    if (++this.#nodes > NODES_MAX) return '[more]';
    switch (typeof value) {
      case 'string':
        return safeText(value);
      case 'number':
        return Number.isFinite(value) ? value : String(value);
      case 'boolean':
        return value;
      case 'bigint':
        return safeText(value.toString());
      case 'undefined':
        return null;
      case 'symbol':
        return safeText(value.toString());
      case 'function':
        return '[function]';
      case 'object':
        return value === null ? null : this.#object(value, depth);
    }
  }

  #object(value: object, depth: number): Plain {
    if (this.#path.has(value)) return '[circular]';
    if (depth >= DEPTH_MAX) return '[deeper]';
    this.#path.add(value);
    try {
      return this.#shape(value, depth);
    } catch {
      // A proxy or getter that throws, an invalid Date: there is nothing in it that could be shown.
      return '[unreadable]';
    } finally {
      this.#path.delete(value);
    }
  }

  #shape(value: object, depth: number): Plain {
    const binary = bytesOf(value);
    if (binary !== undefined) return shownBytes(binary);
    if (value instanceof Error) return this.#error(value, depth);
    if (value instanceof Date) return value.toISOString();
    if (value instanceof URL || value instanceof URLSearchParams || value instanceof RegExp)
      return safeText(String(value));
    if (Array.isArray(value)) return this.#list(value, value.length, depth);
    if (value instanceof Set) return this.#list(value, value.size, depth);
    if (value instanceof Map) return this.#members(eager(value), value.size, depth);
    if (value instanceof String || value instanceof Number || value instanceof Boolean) {
      return this.plain(value.valueOf(), depth);
    }
    const { toJSON } = value as { toJSON?: unknown };
    if (typeof toJSON === 'function') return this.plain(Reflect.apply(toJSON, value, []), depth + 1);
    const names = Object.keys(value);
    if (names.length === 0 && !isPlainObject(value)) return `[${className(value)}]`;
    return this.#members(lazy(value, names), names.length, depth);
  }

  #list(items: Iterable<unknown>, count: number, depth: number): Plain {
    const shown: Plain[] = [];
    for (const item of items) {
      if (shown.length === ENTRIES_MAX) return [...shown, `[${count - ENTRIES_MAX} more]`];
      shown.push(this.plain(item, depth + 1));
    }
    return shown;
  }

  #members(members: Iterable<Member>, count: number, depth: number): { readonly [key: string]: Plain } {
    const shown: [string, Plain][] = [];
    for (const [key, read] of members) {
      if (shown.length === ENTRIES_MAX) {
        shown.push(['[more]', count - ENTRIES_MAX]);
        break;
      }
      // A secret may stand where a name should: a map from API keys to whatever.
      const name = typeof key === 'string' ? safeText(key) : this.#text(key);
      const held = this.#held(read, isSecretKey(typeof key === 'string' ? key : name), depth);
      if (held !== undefined) shown.push([name, held]);
    }
    return fromEntries(shown);
  }

  /** One member that throws when it is read must not take its neighbours with it. */
  #held(read: () => unknown, secret: boolean, depth: number): Plain | undefined {
    let value: unknown;
    try {
      value = read();
    } catch {
      return '[unreadable]';
    }
    if (value === undefined) return undefined;
    // Whether there is a password is no secret, and `pass: true` is not even one.
    if (secret && value !== null && typeof value !== 'boolean') return REDACTED;
    return this.plain(value, depth + 1);
  }

  /** What should be a text and may be anything. */
  #text(key: unknown): string {
    const plain = this.plain(key, DEPTH_MAX);
    return typeof plain === 'string' ? plain : JSON.stringify(plain);
  }

  #error(error: Error, depth: number): Plain {
    const members: [string, Plain][] = [
      ['name', this.#text(error.name)],
      ['message', this.#text(error.message)],
    ];
    if (typeof error.stack === 'string') members.push(['stack', safeText(error.stack)]);
    if (error.cause !== undefined) members.push(['cause', this.plain(error.cause, depth + 1)]);
    if (error instanceof AggregateError) members.push(['errors', this.plain(error.errors, depth)]);
    const shown = new Set(['name', 'message', 'stack', 'cause', 'errors']);
    const rest = Object.keys(error).filter((name) => !shown.has(name));
    return { ...fromEntries(members), ...this.#members(lazy(error, rest), rest.length, depth) };
  }
}

/** A name and how to read what stands under it; reading may throw. */
type Member = readonly [unknown, () => unknown];

function* lazy(value: object, names: readonly string[]): Generator<Member> {
  for (const name of names) yield [name, (): unknown => Reflect.get(value, name)];
}

function* eager(map: ReadonlyMap<unknown, unknown>): Generator<Member> {
  for (const [key, held] of map) yield [key, () => held];
}

function safeText(text: string): string {
  const clean = redactText(text.length > SCANNED_CHARACTERS_MAX ? cutAtBlank(text) : text);
  if (clean.length <= TEXT_CHARACTERS_MAX && text.length <= SCANNED_CHARACTERS_MAX) return clean;
  return `${clean.slice(0, TEXT_CHARACTERS_MAX)}[cut: ${text.length} characters]`;
}

/** Cuts between words: half a connection URL has no `@` any more, and its password would not be known for one. */
function cutAtBlank(text: string): string {
  const start = text.slice(0, SCANNED_CHARACTERS_MAX);
  const blank = Math.max(start.lastIndexOf(' '), start.lastIndexOf('\n'));
  return start.slice(0, Math.max(blank, 0));
}

function shownBytes(bytes: Uint8Array): Plain {
  if (bytes.byteLength > DIGESTED_BYTES_MAX) return { bytes: bytes.byteLength };
  return { bytes: bytes.byteLength, sha256: digestBytes(bytes) };
}

/** A payload is shown as how much it is and which, never as what it says. */
function bytesOf(value: object): Uint8Array | undefined {
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  if (value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) return new Uint8Array(value);
  return undefined;
}

function isPlainObject(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function className(value: object): string {
  const { constructor } = value as { constructor?: unknown };
  return typeof constructor === 'function' && constructor.name !== '' ? constructor.name : 'object';
}

/** `__proto__` as a name must become a member and not a prototype. */
function fromEntries(entries: readonly (readonly [string, Plain])[]): { readonly [key: string]: Plain } {
  return Object.fromEntries(entries);
}
