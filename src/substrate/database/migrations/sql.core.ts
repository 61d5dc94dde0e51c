/** One statement of a script, without its closing semicolon, and the line on which it begins (from 1). */
export interface ScriptStatement {
  readonly text: string;
  readonly line: number;
}

/** What may hold a semicolon that ends nothing; each alternative consumes its whole length, closed or not. */
const OPAQUE =
  /--[^\n]*|'(?:[^']|'')*(?:'|$)|"(?:[^"]|"")*(?:"|$)|\$([A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$[\s\S]*?(?:\$\1\$|$)/y;
const ESCAPE_STRING = /[eE]'(?:[^'\\]|\\[\s\S]|'')*(?:'|$)/y;
const WORD = /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y;

/**
 * Cuts a script into its statements, so that a failure can name the statement and its line. Strings, quoted names, dollar
 * quotes and (nested) comments may hold semicolons. The body of a function has to stand in dollar quotes: the form
 * `begin atomic … end` is cut in its middle and refused by the server as a syntax error.
 */
export function splitScript(script: string): readonly ScriptStatement[] {
  const statements: ScriptStatement[] = [];
  let start = 0;
  let at = 0;
  while (at < script.length) {
    if (script[at] === ';') {
      pushStatement(statements, script, start, at);
      start = at + 1;
    }
    at = skip(script, at);
  }
  pushStatement(statements, script, start, script.length);
  return statements;
}

/** The place after what stands at `at`: a comment, string, quoted name, word, or one character. */
function skip(script: string, at: number): number {
  if (script.startsWith('/*', at)) return skipBlockComment(script, at);
  for (const form of [ESCAPE_STRING, OPAQUE, WORD]) {
    form.lastIndex = at;
    if (form.test(script)) return form.lastIndex;
  }
  return at + 1;
}

/** Block comments nest in Postgres, which no regular expression can follow. */
function skipBlockComment(script: string, at: number): number {
  let depth = 0;
  let place = at;
  while (place < script.length) {
    if (script.startsWith('/*', place)) {
      depth += 1;
      place += 2;
    } else if (script.startsWith('*/', place)) {
      depth -= 1;
      place += 2;
      if (depth === 0) return place;
    } else {
      place += 1;
    }
  }
  return place;
}

function pushStatement(statements: ScriptStatement[], script: string, start: number, end: number): void {
  const lead = leadOf(script, start, end);
  if (lead === end) return;
  statements.push({ text: script.slice(lead, end).trimEnd(), line: lineAt(script, lead) });
}

/** Where the first word of a statement stands, past white space and comments. */
function leadOf(script: string, start: number, end: number): number {
  let at = start;
  while (at < end) {
    if (/\s/.test(script.charAt(at))) at += 1;
    else if (script.startsWith('--', at) || script.startsWith('/*', at)) at = Math.min(skip(script, at), end);
    else return at;
  }
  return end;
}

/** The line of a place, from 1. */
export function lineAt(text: string, at: number): number {
  let line = 1;
  for (let place = text.indexOf('\n'); place !== -1 && place < at; place = text.indexOf('\n', place + 1)) line += 1;
  return line;
}

const TRANSACTION_WORDS =
  /^(begin|start\s+transaction|commit|end|rollback|abort|savepoint|release|prepare\s+transaction|set\s+transaction|reset\s+role|set\s+(session\s+|local\s+)?role|set\s+session\s+authorization)\b/i;

/** True for statements that would end or split the one transaction that a migration runs in, or change who runs it. */
export function takesOverTransaction(statement: string): boolean {
  return TRANSACTION_WORDS.test(statement);
}
