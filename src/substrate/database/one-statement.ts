import type { Statement } from './database.port.js';

/** A statement that stands in a larger one, under a name that later parts may read from. Its own values are $1, $2 … */
export interface Part {
  /** Of its `with` query: what it returns is read under this name. */
  readonly as: string;
  readonly text: string;
  readonly values: readonly unknown[];
}

const PLACE = /\$(\d+)/g;
const made = new Map<string, Map<string, Statement>>();

/**
 * Several writes as one statement, which is one round trip and one commit: outside a transaction it does the work of BEGIN, each of them, and
 * COMMIT. All parts see the database as it was before the statement, and none sees what another one wrote, save by reading what that one
 * returns.
 *
 * A unit's statements have few shapes (which parts there are), each with a constant text of its own; so each is prepared once per connection.
 * @param name of the family of statements; the shape's number is added
 * @param select what the whole statement answers
 */
export function oneStatement(
  name: string,
  parts: readonly Part[],
  select = 'select',
): { readonly statement: Statement; readonly values: readonly unknown[] } {
  const values: unknown[] = [];
  for (const part of parts) values.push(...part.values);
  const shapes = made.get(name) ?? new Map<string, Statement>();
  made.set(name, shapes);
  const shape = parts.map(({ as }) => as).join();
  let statement = shapes.get(shape);
  if (statement === undefined) {
    statement = { name: `${name}_${shapes.size + 1}`, text: joined(parts, select) };
    shapes.set(shape, statement);
  }
  return { statement, values };
}

function joined(parts: readonly Part[], select: string): string {
  let before = 0;
  const queries = parts.map(({ as, text, values }) => {
    const shift = before;
    before += values.length;
    return `${as} as (${text.replace(PLACE, (_, place: string) => `$${Number(place) + shift}`)})`;
  });
  return queries.length === 0 ? select : `with ${queries.join(', ')} ${select}`;
}
