import { canonicalJson, type JsonValue } from '../../../rails/canonical-json.js';
import type { RejectedRow, UnsealedRow, UnsealedTruth } from '../world-source.js';

/**
 * The canonical text of rows, built once and by hand: the general writer takes six times as long, and a world has
 * millions of rows. A property test holds every text against `canonicalJson`.
 */

/** Printable ASCII without quote and backslash: what JSON writes as it is, and nearly all that rows are made of. */
const PLAIN = /^[ !#-[\]-~]*$/;

function valueText(value: JsonValue): string {
  if (typeof value === 'string') return PLAIN.test(value) ? `"${value}"` : canonicalJson(value);
  if (typeof value === 'number') return Number.isSafeInteger(value) ? String(value + 0) : canonicalJson(value);
  return typeof value === 'boolean' || value === null ? String(value) : canonicalJson(value);
}

/** The names in the order of their UTF-16 code units. They nearly always stand so already, which one pass shows. */
function sorted(names: string[]): readonly string[] {
  for (let i = 1; i < names.length; i += 1) {
    const name = names[i] ?? '';
    let at = i;
    for (; at > 0 && (names[at - 1] ?? '') > name; at -= 1) names[at] = names[at - 1] ?? '';
    names[at] = name;
  }
  return names;
}

/** Names of members with their colon. A world has some dozens of them. */
export class MemberNames {
  readonly #texts = new Map<string, string>();

  /** How many are remembered. */
  get size(): number {
    return this.#texts.size;
  }

  text(name: string): string {
    let text = this.#texts.get(name);
    if (text === undefined) {
      text = `${valueText(name)}:`;
      // Rows whose members are named at random must not fill the memory.
      if (this.#texts.size < NAMES_MAX) this.#texts.set(name, text);
    }
    return text;
  }
}

const NAMES_MAX = 1_000;

/** A line of traffic without the number of its row, which is known only when all rows stand in order. */
export interface OpenLine {
  /** The text up to the number … */
  readonly head: string;
  /** … and from it on. */
  readonly tail: string;
}

/**
 * `{"key":…,"payload":{…,"source":{"output_id":"transactions","row":` and `},…},"ts_utc":…}`. A `source` that the payload
 * brings along is left out: whose row it is, the sealing alone says.
 */
export function trafficLine({ key, ts_utc, payload }: UnsealedRow, outputId: string, names: MemberNames): OpenLine {
  let head = `{"key":${valueText(key)},"payload":{`;
  let tail = '}';
  for (const name of sorted(Object.keys(payload))) {
    const value = payload[name];
    if (name === 'source' || value === undefined) continue;
    if (name < 'source') head += `${names.text(name)}${valueText(value)},`;
    else tail += `,${names.text(name)}${valueText(value)}`;
  }
  return { head: `${head}"source":{"output_id":"${outputId}","row":`, tail: `${tail}},"ts_utc":"${ts_utc}"}` };
}

/** `{key, ts_utc, ...fields}`; key and time are the row's own, whatever the fields say. */
export function truthLine({ key, ts_utc, fields }: UnsealedTruth, names: MemberNames): string {
  const all = Object.keys(fields);
  if (!Object.hasOwn(fields, 'key')) all.push('key');
  if (!Object.hasOwn(fields, 'ts_utc')) all.push('ts_utc');
  let text = '';
  for (const name of sorted(all)) {
    const value = name === 'key' ? key : name === 'ts_utc' ? ts_utc : fields[name];
    if (value !== undefined) text += `${text === '' ? '{' : ','}${names.text(name)}${valueText(value)}`;
  }
  return `${text}}`;
}

/** `{detail, reason, row}`. */
export function rejectLine({ row, reason, detail }: RejectedRow): string {
  return `{"detail":${valueText(detail)},"reason":"${reason}","row":${row}}`;
}
