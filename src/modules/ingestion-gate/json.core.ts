import { type CanonicalJson, type JsonObject, type JsonValue } from '../../rails/canonical-json.js';

/**
 * JSON as the gate takes it: one parse, one writing. The rails' own canonicaliser takes any value of the program and must
 * look for what JSON does not have; here the value has just been parsed, so the same text comes out at a fifth of the price
 * (the tests hold the two against each other).
 */

/** Deeper texts are refused before anything recursive walks them; a payment is five levels deep at the most. */
export const DEPTH_MAX = 64;

export type Reading =
  | { readonly ok: true; readonly value: unknown; readonly look: TextLook }
  | { readonly ok: false; readonly says: string };

/** What a text shows before it is parsed. Exact for every text that is JSON; for others it does not matter. */
interface TextLook {
  /** Colons outside strings: as many as the objects of the text have members, those included that a parser drops. */
  readonly members: number;
  readonly depth: number;
  /** Whether a half of a surrogate pair may stand in it, raw or as an escape. */
  readonly surrogates: boolean;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const LETTER_U = 0x75;
const LETTER_D = 0x64;
/** `{` and `}` differ from `[` and `]` in this bit alone. */
const SQUARE_TO_CURLY = 0x20;
const OPEN_CURLY = 0x7b;
const CLOSE_CURLY = 0x7d;
/** Nothing in it has to be escaped: almost every name and text. Quoting these by hand costs a quarter of JSON.stringify. */
const PLAIN = /^[ !#-[\]-~]*$/;
const LONE_SURROGATE = /\p{Surrogate}/u;

/** Parses one text of JSON; says what is wrong, never what stands there. */
export function readJson(text: string): Reading {
  const look = lookAt(text);
  if (look.depth > DEPTH_MAX) return { ok: false, says: `is nested deeper than ${DEPTH_MAX} levels` };
  try {
    return { ok: true, value: JSON.parse(text) as unknown, look };
  } catch {
    // The parser's message quotes the text.
    return { ok: false, says: 'is not JSON' };
  }
}

function lookAt(text: string): TextLook {
  let [members, depth, deepest] = [0, 0, 0];
  let surrogates = false;
  const end = text.length;
  for (let at = 0; at < end; at += 1) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      for (at += 1; at < end; at += 1) {
        const inner = text.charCodeAt(at);
        if (inner === QUOTE) break;
        if (inner === BACKSLASH) {
          at += 1;
          // `\ud8` to `\udf`, in either case of the letter.
          if (text.charCodeAt(at) === LETTER_U && (text.charCodeAt(at + 1) | 0x20) === LETTER_D) surrogates = true;
        } else if (inner >= 0xd800 && inner <= 0xdfff) surrogates = true;
      }
    } else if (code === COLON) members += 1;
    else if ((code | SQUARE_TO_CURLY) === OPEN_CURLY) {
      depth += 1;
      if (depth > deepest) deepest = depth;
    } else if ((code | SQUARE_TO_CURLY) === CLOSE_CURLY) depth -= 1;
  }
  return { members, depth: deepest, surrogates };
}

/** Why a parsed value has no canonical form, and where; thrown and caught within the gate alone. */
export class NoCanonicalForm extends Error {
  constructor(readonly says: string) {
    super(says);
  }
}

/**
 * Writes canonical texts (RFC 8785) of what one text was parsed to, and counts the members on the way: fewer than the text
 * has colons means that a name stood twice in one object, and that two readers may see two different events.
 */
export class CanonicalWriter {
  #members = 0;
  readonly #look: TextLook;

  constructor(look: TextLook) {
    this.#look = look;
  }

  /** @throws NoCanonicalForm for halves of surrogate pairs, numbers beyond all bounds and members named `__proto__` */
  write(value: JsonValue): CanonicalJson {
    return this.#write(value) as CanonicalJson;
  }

  /** The members of one object, each as `"name":text`, in canonical order. */
  members(value: JsonObject, each: (name: string, text: string) => void): void {
    for (const name of this.#names(value)) {
      const member = value[name];
      if (member !== undefined) each(name, `${this.#string(name)}:${this.#write(member)}`);
    }
  }

  /** To be asked when everything has been written. @throws NoCanonicalForm */
  demandEachNameOnce(): void {
    if (this.#members !== this.#look.members) throw new NoCanonicalForm('has an object with two members of one name');
  }

  #write(value: JsonValue): string {
    switch (typeof value) {
      case 'string':
        return this.#string(value);
      case 'number':
        // JSON.parse makes Infinity of 1e400.
        if (!Number.isFinite(value)) throw new NoCanonicalForm('has a number that is too large');
        // -0 and 0 are the same JSON number.
        return value === 0 ? '0' : String(value);
      case 'boolean':
        return value ? 'true' : 'false';
      case 'object':
        if (value === null) return 'null';
        return isArray(value) ? this.#array(value) : this.#object(value);
      case 'undefined':
      case 'bigint':
      case 'symbol':
      case 'function':
        throw new NoCanonicalForm('has a value that JSON does not have');
    }
  }

  #array(values: readonly JsonValue[]): string {
    let text = '[';
    for (let at = 0; at < values.length; at += 1) {
      if (at > 0) text += ',';
      text += this.#write(values[at] ?? null);
    }
    return `${text}]`;
  }

  #object(value: JsonObject): string {
    let text = '{';
    for (const name of this.#names(value)) {
      text += `${text.length > 1 ? ',' : ''}${this.#string(name)}:${this.#write(value[name] ?? null)}`;
    }
    return `${text}}`;
  }

  #names(value: JsonObject): readonly string[] {
    const names = Object.keys(value);
    this.#members += names.length;
    let last = '';
    let sorted = true;
    for (const name of names) {
      // Harmless here, and a trap for every reader after us that copies members one by one.
      if (name === '__proto__') throw new NoCanonicalForm('has a member named __proto__');
      if (name < last) sorted = false;
      last = name;
    }
    // By UTF-16 code units, as RFC 8785 wants and `sort` does without an argument.
    return sorted ? names : names.sort();
  }

  #string(value: string): string {
    if (PLAIN.test(value)) return `"${value}"`;
    if (this.#look.surrogates && LONE_SURROGATE.test(value))
      throw new NoCanonicalForm('has a text with half of a surrogate pair');
    return JSON.stringify(value);
  }
}

function isArray(value: JsonObject | readonly JsonValue[]): value is readonly JsonValue[] {
  return Array.isArray(value);
}
