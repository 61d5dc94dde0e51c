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

/** Every place in which two JSON values differ, in the order of their names, at most so many. Each is told like the first. */
export function allDifferences(
  left: JsonValue | undefined,
  right: JsonValue | undefined,
  max: number,
): readonly JsonDifference[] {
  const found: JsonDifference[] = [];
  const visit = (one: JsonValue | undefined, other: JsonValue | undefined, at: string): void => {
    if (found.length >= max) return;
    if (!isHolder(one) || !isHolder(other) || Array.isArray(one) !== Array.isArray(other)) {
      if (!Object.is(one, other)) found.push({ at, left: told(one), right: told(other) });
      return;
    }
    const names = [...new Set([...Object.keys(one), ...Object.keys(other)])];
    if (!Array.isArray(one)) names.sort();
    for (const name of names)
      visit(one[name], other[name], `${at}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`);
  };
  visit(left, right, '');
  return found;
}

function isHolder(value: JsonValue | undefined): value is Readonly<Record<string, JsonValue>> {
  return typeof value === 'object' && value !== null;
}

function told(value: JsonValue | undefined): string {
  return value === undefined ? 'nothing' : JSON.stringify(value).slice(0, TOLD_CHARACTERS);
}
