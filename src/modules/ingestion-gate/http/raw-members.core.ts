const QUOTE = '"';
const BACKSLASH = '\\';

/**
 * The members of a JSON object as they stand in its text, in their order, each with its value's own text. For an event inside
 * another document: parsed and written again it would lose what a parser loses (large numbers, a name that stands twice).
 *
 * The text must be a JSON object: parse it first.
 */
export function rawMembers(text: string): readonly (readonly [name: string, value: string])[] {
  const members: (readonly [string, string])[] = [];
  let at = skip(text, text.indexOf('{') + 1);
  while (text[at] === QUOTE) {
    const nameEnd = endOfString(text, at);
    const name = JSON.parse(text.slice(at, nameEnd)) as string;
    const valueAt = skip(text, text.indexOf(':', nameEnd) + 1);
    const valueEnd = endOfValue(text, valueAt);
    members.push([name, text.slice(valueAt, valueEnd).trimEnd()]);
    // Past the comma; past the closing bracket there is no quote, and so no further member.
    at = skip(text, valueEnd + 1);
  }
  return members;
}

function skip(text: string, from: number): number {
  let at = from;
  while (at < text.length && ' \t\r\n'.includes(text[at] ?? '')) at += 1;
  return at;
}

/** The place after the closing quote. */
function endOfString(text: string, quoteAt: number): number {
  let at = quoteAt + 1;
  while (at < text.length && text[at] !== QUOTE) at += text[at] === BACKSLASH ? 2 : 1;
  return at + 1;
}

/** The place of the comma or bracket that follows the value. */
function endOfValue(text: string, valueAt: number): number {
  let depth = 0;
  let at = valueAt;
  while (at < text.length) {
    const char = text[at];
    if (char === QUOTE) {
      at = endOfString(text, at);
      continue;
    }
    if (depth === 0 && (char === ',' || char === '}')) return at;
    if (char === '{' || char === '[') depth += 1;
    else if (char === '}' || char === ']') depth -= 1;
    at += 1;
  }
  return at;
}
