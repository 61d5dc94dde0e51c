import type { JsonValue } from './canonical-json.js';

/** Where two JSON values first differ, in the order of their names: a JSON Pointer and both sides in short. null: nowhere. */
export interface JsonDifference {
  readonly at: string;
  readonly left: string;
  readonly right: string;
}

const TOLD_CHARACTERS = 200;

export function firstDifference(
  left: JsonValue | undefined,
  right: JsonValue | undefined,
  at = '',
): JsonDifference | null {
  if (isHolder(left) && isHolder(right) && Array.isArray(left) === Array.isArray(right)) {
    const names = [...new Set([...Object.keys(left), ...Object.keys(right)])];
    if (!Array.isArray(left)) names.sort();
    for (const name of names) {
      const found = firstDifference(
        left[name],
        right[name],
        `${at}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`,
      );
      if (found !== null) return found;
    }
    return null;
  }
  return Object.is(left, right) ? null : { at, left: told(left), right: told(right) };
}

function isHolder(value: JsonValue | undefined): value is Readonly<Record<string, JsonValue>> {
  return typeof value === 'object' && value !== null;
}

function told(value: JsonValue | undefined): string {
  return value === undefined ? 'nothing' : JSON.stringify(value).slice(0, TOLD_CHARACTERS);
}
