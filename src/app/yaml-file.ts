import { readFileSync } from 'node:fs';
import { Ajv2020, type ErrorObject } from 'ajv/dist/2020.js';
import type { Static, TSchema } from '@sinclair/typebox';
import { isMap, isNode, isScalar, LineCounter, parseDocument, type Document } from 'yaml';
import type { ErrorCode } from '../rails/errors/registry.js';
import { ProbityError } from '../rails/errors/probity-error.js';

/** One fault of a file that a person wrote: where it stands and what to do. */
export interface ConfigFault {
  readonly code: ErrorCode;
  /** As the operator named it. */
  readonly file: string;
  /** 1-based. */
  readonly line: number;
  readonly message: string;
}

/** `FILE:LINE: sentence`, the form that editors and terminals make clickable. */
export function describeFault(fault: ConfigFault): string {
  return `${fault.file}:${fault.line}: ${fault.message}`;
}

export function faultError(fault: ConfigFault): ProbityError {
  return new ProbityError(fault.code, describeFault(fault), { data: { file: fault.file, line: fault.line } });
}

/**
 * A YAML file that remembers where each value stands, so that every fault can name its line.
 * Anchors, merges and custom tags are not used in profiles; duplicate keys are refused by the parser.
 */
export class YamlFile {
  readonly #lines: LineCounter;
  readonly #document: Document;

  private constructor(
    readonly file: string,
    readonly text: string,
    document: Document,
    lines: LineCounter,
  ) {
    this.#document = document;
    this.#lines = lines;
  }

  /** @throws ProbityError CONFIG_UNREADABLE with the place where reading ended */
  static read(file: string): YamlFile {
    let text: string;
    try {
      text = readFileSync(file, 'utf8');
    } catch (cause) {
      const reason = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
      throw new ProbityError('CONFIG_UNREADABLE', `${file}:1: the file cannot be read (${reason})`, {
        cause,
        data: { file, line: 1 },
      });
    }
    return YamlFile.parse(file, text);
  }

  static parse(file: string, text: string): YamlFile {
    const lines = new LineCounter();
    const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
    const first = document.errors[0] ?? document.warnings[0];
    if (first !== undefined) {
      const { line } = lines.linePos(first.pos[0]);
      throw faultError({
        code: 'CONFIG_UNREADABLE',
        file,
        line,
        message: `this is not YAML: ${firstLine(first.message)}`,
      });
    }
    return new YamlFile(file, text, document, lines);
  }

  get value(): unknown {
    return this.#document.toJS() as unknown;
  }

  /** The line of the value at the path; of its nearest existing parent when the path leads nowhere. */
  lineOf(path: readonly (string | number)[]): number {
    for (let length = path.length; length >= 0; length--) {
      const line = this.#lineOfExact(path.slice(0, length));
      if (line !== undefined) return line;
    }
    return 1;
  }

  #lineOfExact(path: readonly (string | number)[]): number | undefined {
    const parent = path.length === 0 ? undefined : this.#document.getIn(path.slice(0, -1), true);
    // A key is where a reader looks; the value of a map may begin on a later line.
    if (isMap(parent)) {
      const key = parent.items.find(
        (pair) => isScalar(pair.key) && String(pair.key.value) === String(path.at(-1)),
      )?.key;
      if (isNode(key) && key.range) return this.#lines.linePos(key.range[0]).line;
      return undefined;
    }
    const node: unknown = path.length === 0 ? this.#document.contents : this.#document.getIn(path, true);
    return isNode(node) && node.range ? this.#lines.linePos(node.range[0]).line : undefined;
  }

  fault(code: ErrorCode, path: readonly (string | number)[], message: string): ConfigFault {
    return { code, file: this.file, line: this.lineOf(path), message };
  }

  /** Every place where the file is not what the schema asks for; empty when it is. */
  faults(schema: TSchema): readonly ConfigFault[] {
    const ajv = new Ajv2020({ allErrors: true, strict: false, verbose: true, discriminator: true });
    const validate = ajv.compile(schema);
    if (validate(this.value)) return [];
    const errors = (validate.errors ?? []).filter(isTelling);
    return errors.filter((error) => !isMisspelt(error, errors)).map((error) => this.#schemaFault(error));
  }

  /** @throws ProbityError of the first fault */
  as<Schema extends TSchema>(schema: Schema): Static<Schema> {
    const [first] = this.faults(schema);
    if (first !== undefined) throw faultError(first);
    // The validator has just proven the shape.
    return this.value;
  }

  #schemaFault(error: ErrorObject): ConfigFault {
    const path = error.instancePath.split('/').slice(1).map(unescapePointer);
    const params = error.params as Record<string, unknown>;
    if (error.keyword === 'additionalProperties') {
      const key = String(params['additionalProperty']);
      const known = Object.keys((error.parentSchema as { properties?: object } | undefined)?.properties ?? {});
      const near = nearest(key, known);
      const hint = near === undefined ? `known here: ${known.join(', ')}` : `did you mean "${near}"?`;
      return this.fault('CONFIG_KEY_UNKNOWN', [...path, key], `unknown key "${[...path, key].join('.')}"; ${hint}`);
    }
    if (error.keyword === 'discriminator') {
      const tag = String(params['tag']);
      const kinds = kindsOf(tag, error.parentSchema);
      return this.fault(
        'CONFIG_INVALID',
        [...path, tag],
        `"${[...path, tag].join('.')}" must be one of: ${kinds.join(', ')}`,
      );
    }
    const where = path.length === 0 ? 'the file' : `"${path.join('.')}"`;
    const allowed = Array.isArray(params['allowedValues']) ? `: ${params['allowedValues'].join(', ')}` : '';
    return this.fault('CONFIG_INVALID', path, `${where} ${error.message ?? 'is not valid'}${allowed}`);
  }
}

/** A failed union also reports that it failed; the failures of its parts say more. */
function isTelling(error: ErrorObject): boolean {
  return error.keyword !== 'if' && error.keyword !== 'oneOf';
}

/** A key that is missing because it is misspelt is one fault, not two. */
function isMisspelt(error: ErrorObject, all: readonly ErrorObject[]): boolean {
  if (error.keyword !== 'required') return false;
  const missing = String((error.params as Record<string, unknown>)['missingProperty']);
  return all.some((other) => {
    if (other.keyword !== 'additionalProperties' || other.instancePath !== error.instancePath) return false;
    return nearest(String((other.params as Record<string, unknown>)['additionalProperty']), [missing]) !== undefined;
  });
}

/** The values that tell the shapes of a union apart. */
function kindsOf(tag: string, parent: unknown): readonly string[] {
  const shapes = (
    parent as { readonly oneOf?: readonly { readonly properties: Record<string, { readonly const?: unknown }> }[] }
  ).oneOf;
  return (shapes ?? []).map((shape) => String(shape.properties[tag]?.const));
}

const unescapePointer = (part: string): string => part.replaceAll('~1', '/').replaceAll('~0', '~');

const firstLine = (text: string): string => text.split('\n', 1)[0] ?? text;

/** The known word within two edits of what was written; enough for a typing error, too little for a wrong guess. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const ranked = known
    .map((other) => ({ other, distance: editDistance(word, other) }))
    .sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  return best !== undefined && best.distance <= 2 ? best.other : undefined;
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const substitution = (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min((previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1, substitution));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}
