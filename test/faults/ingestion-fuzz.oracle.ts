import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import type { RunPins } from '../../src/rails/pins.js';
import type { Mutant } from './ingestion-fuzz.mutants.js';

/**
 * Says whether a body is an event that must be admitted. It shares nothing with the gate: it parses by itself, validates with
 * the published contracts, and its rules are those that the documentation states.
 */
export type Opinion =
  | { readonly valid: false; readonly why: string }
  | { readonly valid: true; readonly text: string; readonly id: string; readonly content: string };

export type Oracle = (mutant: Mutant) => Opinion;

interface Envelope {
  readonly event_id: string;
  readonly payload?: Readonly<Record<string, unknown>>;
  readonly [name: string]: unknown;
}

const EVENT_BYTES_MAX = 262_144;
const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\]:,]|[^\s{}[\]:,"]+/gs;

export function oracleOf(run: RunPins): Oracle {
  const isEnvelope = contract('envelope.schema.json');
  const isTransaction = contract('payload.transaction.schema.json');
  return (mutant) => {
    const text = textOf(mutant);
    if (text === undefined) return no('it does not arrive as a text');
    if (Buffer.byteLength(text) > EVENT_BYTES_MAX) return no('it is too large');
    const value = strictJson(text);
    if (value === undefined) return no('it is not JSON that everybody reads alike');
    if (!isEnvelope(value)) return no('it does not keep the contract of the envelope');
    const envelope = value as Envelope;
    const wanted = { ...run, producer: 'payments-api', event_type: 'transaction', schema_version: 'v1' };
    for (const [name, own] of Object.entries(wanted)) if (envelope[name] !== own) return no(`${name} is another one`);
    if (!isTransaction(envelope.payload)) return no('it does not keep the contract of the payload');
    // A live run declares no outputs.
    if (envelope.payload?.['source'] !== undefined) return no('its source is not declared');
    const { trace_id: _trace, span_id: _span, ...content } = envelope;
    return { valid: true, text, id: envelope.event_id, content: sorted(content) };
  };
}

function no(why: string): Opinion {
  return { valid: false, why };
}

function contract(name: string): ValidateFunction {
  const ajv = new Ajv2020({ strict: false, ownProperties: true });
  ajv.addFormat('date-time', (text: string) => {
    const day = new Date(`${text.slice(0, 10)}T00:00:00Z`);
    return !Number.isNaN(day.getTime()) && day.toISOString().startsWith(text.slice(0, 10));
  });
  return ajv.compile(JSON.parse(readFileSync(join(process.cwd(), 'contracts', name), 'utf8')) as object);
}

/** What the transport makes of it. */
function textOf({ bytes, headers, sending }: Mutant): string | undefined {
  if (sending === 'vanishing') return undefined;
  if ((headers['content-type'] ?? 'application/json') !== 'application/json') return undefined;
  const encoding = headers['content-encoding'];
  try {
    if (encoding !== undefined && encoding !== 'gzip') return undefined;
    const plain = encoding === 'gzip' ? gunzipSync(bytes) : bytes;
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(plain);
  } catch {
    return undefined;
  }
}

/** The value of a text that no two parsers read differently; undefined for every other one. */
function strictJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const objects: Set<string>[] = [];
  const tokens = text.match(TOKENS) ?? [];
  for (const [index, token] of tokens.entries()) {
    if (token === '{' || token === '[') objects.push(new Set());
    else if (token === '}' || token === ']') objects.pop();
    else if (token.startsWith('"')) {
      const string = JSON.parse(token) as string;
      if (/\p{Surrogate}/u.test(string)) return undefined;
      if (tokens[index + 1] !== ':') continue;
      const names = objects.at(-1);
      if (names === undefined || names.has(string) || string === '__proto__') return undefined;
      names.add(string);
    } else if (/^[-\d]/.test(token) && !Number.isFinite(Number(token))) return undefined;
  }
  return value;
}

function sorted(value: unknown): string {
  return JSON.stringify(value, (_name, member: unknown) =>
    typeof member === 'object' && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}
