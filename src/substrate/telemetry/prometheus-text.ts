/** A series of the Prometheus text format 0.0.4, without the process that it came from. */
export interface TextSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*/;
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)/;

/**
 * Reads the text format: comments are passed over, anything else that is no sample is an error, since half of a page would look like metrics
 * that have fallen to nothing.
 * @throws SyntaxError that names the line
 */
export function parsePrometheusText(text: string): readonly TextSample[] {
  return text.split('\n').flatMap((line, at) => {
    if (line === '' || line.startsWith('#')) return [];
    const sample = sampleOf(line);
    if (sample === null) throw new SyntaxError(`line ${at + 1} is no sample`);
    return [sample];
  });
}

function sampleOf(line: string): TextSample | null {
  const name = NAME.exec(line)?.[0];
  if (name === undefined) return null;
  const open = line[name.length] === '{';
  const close = open ? endOfLabels(line, name.length + 1) : name.length;
  if (close < 0) return null;
  const labels = open ? labelsOf(line.slice(name.length + 1, close)) : {};
  const [value = '', ...rest] = line
    .slice(open ? close + 1 : close)
    .trim()
    .split(/ +/);
  if (labels === null || rest.length > 1 || value === '') return null;
  const number = NUMBERS[value] ?? Number(value);
  return Number.isNaN(number) && value !== 'NaN' ? null : { name, labels, value: number };
}

const NUMBERS: Readonly<Record<string, number>> = { '+Inf': Infinity, '-Inf': -Infinity, NaN };

/** The closing brace: one that does not stand inside of a quoted value. */
function endOfLabels(line: string, from: number): number {
  let quoted = false;
  for (let at = from; at < line.length; at += 1) {
    if (quoted && line[at] === '\\') at += 1;
    else if (line[at] === '"') quoted = !quoted;
    else if (!quoted && line[at] === '}') return at;
  }
  return -1;
}

function labelsOf(text: string): Readonly<Record<string, string>> | null {
  const labels: Record<string, string> = {};
  for (let rest = text; rest !== '';) {
    const match = LABEL.exec(rest);
    if (match === null) return null;
    const [whole, name = '', value = ''] = match;
    labels[name] = value.replace(/\\(["\\n])/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped));
    rest = rest.slice(whole.length);
  }
  return labels;
}
