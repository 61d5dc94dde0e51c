import type { Cells } from './field-readers.core.js';

/** Names that are remembered to be shown; a file of objects with random names must not fill the memory. */
const SEEN_MAX = 1_000;

/** The cells of a line that holds a JSON object, or a sentence that says why it has none. */
export function jsonCells(line: string, columns: readonly string[], seen: Set<string>): Cells | string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return 'the line is not JSON';
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'the line is no JSON object';
  const object = value as Readonly<Record<string, unknown>>;
  if (seen.size < SEEN_MAX) for (const name of Object.keys(object)) seen.add(name);
  const cells: (string | undefined)[] = [];
  for (const column of columns) {
    const cell = cellOf(Object.hasOwn(object, column) ? object[column] : undefined);
    if (cell === null) return `the member ${JSON.stringify(column)} is no text, safe number, boolean or null`;
    cells.push(cell);
  }
  return cells;
}

/**
 * A value as text: numbers in the shortest digits that mean them. Null when it cannot be one: a whole number beyond 2^53 has
 * been rounded by whoever read it, and a card number that ends in other digits is another card.
 */
export function cellOf(value: unknown): string | undefined | null {
  switch (typeof value) {
    case 'string':
      return value;
    case 'undefined':
      return undefined;
    case 'boolean':
      return value ? 'true' : 'false';
    case 'bigint':
      return value.toString();
    case 'number':
      if (!Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value))) return null;
      return String(value + 0);
    case 'object':
    case 'function':
    case 'symbol':
      return value === null ? undefined : null;
  }
}
