import { gzipSync } from 'node:zlib';
import type { RunPins } from '../../src/rails/pins.js';

/** One submission of the fuzzer: an envelope that was made worse, or only different. */
export interface Mutant {
  readonly name: string;
  /** The body as it is sent. */
  readonly bytes: Buffer;
  readonly headers: Readonly<Record<string, string>>;
  /** How it is sent: at once, in pieces, or by a client that disappears in the middle. */
  readonly sending: 'whole' | 'pieces' | 'vanishing';
}

type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };
type Draft = Record<string, Json>;

/** What mutants are made from. */
export interface Material {
  readonly run: RunPins;
  /** Runs that do not take the event: not ready, and never requested. */
  readonly others: readonly RunPins[];
  /** Texts that were admitted before. */
  readonly admitted: readonly string[];
}

/** Numbers from 0 to 1 that follow from a seed alone (mulberry32). */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  roll(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  }

  below(limit: number): number {
    return Math.floor(this.roll() * limit);
  }

  of<Value>(values: readonly Value[]): Value {
    const value = values[this.below(values.length)];
    if (value === undefined) throw new Error('nothing to choose from');
    return value;
  }
}

const DEPTH = 100_000;
const PINS = ['manifest_fingerprint', 'parameter_hash', 'seed', 'scenario_id', 'run_id'] as const;
const WRONG_VALUES: readonly Json[] = [
  null,
  true,
  0,
  -1,
  1.5,
  '',
  ' ',
  [],
  {},
  [''],
  { a: 1 },
  'x'.repeat(300),
  '\u0000',
];
const BAD_UTF8 = ['c080', 'e08080', 'f8888080', 'eda080', 'ff', 'c3', 'e282', 'f09f98'];

/** Seeded; the same seed and the same answers give the same mutants. */
export class Mutants {
  readonly #dice: Dice;
  #count = 0;

  constructor(
    private readonly seed: number,
    private readonly material: Material,
  ) {
    this.#dice = new Dice(seed);
  }

  next(): Mutant {
    const [name, make] = this.#dice.of(MUTATORS);
    const made = make(new Workshop(this.#dice, this.material, this.#draft()));
    const bytes = Buffer.isBuffer(made) ? made : typeof made === 'string' ? Buffer.from(made) : made.bytes;
    return {
      name,
      headers: {},
      sending: 'whole',
      ...(Buffer.isBuffer(made) || typeof made === 'string' ? {} : made),
      bytes,
    };
  }

  /** A valid event with an id that no slip of a few bytes turns into another's. */
  #draft(): Draft {
    this.#count += 1;
    const n = this.#count;
    const id = Buffer.from(`${this.seed}/${n}`).toString('hex');
    return {
      event_id: `fuzz-${id}-${this.#dice.below(2 ** 32).toString(16)}`,
      event_type: 'transaction',
      schema_version: 'v1',
      ts_utc: `2026-01-01T00:00:${String(n % 60).padStart(2, '0')}.${String(n % 1_000_000).padStart(6, '0')}Z`,
      ...this.material.run,
      producer: 'payments-api',
      payload: {
        transaction_id: `t-${n}`,
        amount_minor: n,
        currency: 'EUR',
        card_id: `card-${n % 50}`,
        merchant_id: 'm-1',
        city: 'Berlin',
        latitude_e6: 52_520_000,
      },
    };
  }
}

/** What a mutator works with. */
class Workshop {
  constructor(
    readonly dice: Dice,
    readonly material: Material,
    readonly draft: Draft,
  ) {}

  get text(): string {
    return JSON.stringify(this.draft);
  }

  get payload(): Draft {
    return this.draft['payload'] as Draft;
  }

  /** The event with these members of the envelope; undefined takes one away. */
  with(changes: Readonly<Record<string, Json | undefined>>): string {
    return JSON.stringify({ ...this.draft, ...changes });
  }

  withPayload(changes: Readonly<Record<string, Json | undefined>>): string {
    return JSON.stringify({ ...this.draft, payload: { ...this.payload, ...changes } });
  }

  /** The text with one part of it written differently, which JSON.stringify would not write. */
  replaced(from: string, to: string): string {
    if (!this.text.includes(from)) throw new Error(`"${from}" does not stand in the event`);
    return this.text.replace(from, () => to);
  }

  bytesReplaced(from: string, hex: string): Buffer {
    const bytes = Buffer.from(this.text);
    const at = bytes.indexOf(from);
    return Buffer.concat([bytes.subarray(0, at), Buffer.from(hex, 'hex'), bytes.subarray(at + from.length)]);
  }

  flipped(bytes: Buffer): Buffer {
    const copy = Buffer.from(bytes);
    for (let flips = 1 + this.dice.below(3); flips > 0; flips -= 1) {
      const at = this.dice.below(copy.byteLength);
      copy[at] = (copy[at] ?? 0) ^ (1 << this.dice.below(8));
    }
    return copy;
  }
}

type Made = string | Buffer | (Partial<Mutant> & Pick<Mutant, 'bytes'>);

const nested = (open: string, close: string): string => open.repeat(DEPTH) + '1' + close.repeat(DEPTH);

const MUTATORS: readonly (readonly [name: string, make: (w: Workshop) => Made])[] = [
  // Valid ones, in every spelling: a gate that refuses everything would pass all the others.
  ['as it is', (w) => w.text],
  ['with blanks', (w) => JSON.stringify(w.draft, undefined, '\t').replaceAll('\n', ' ')],
  ['in another order', (w) => JSON.stringify(Object.fromEntries(Object.entries(w.draft).reverse()))],
  ['with escapes', (w) => w.replaced('"Berlin"', '"\\u0042erl\\u0069n"').replace('"event_id"', '"event\\u005fid"')],
  [
    'a number in another spelling',
    (w) => w.replaced('"latitude_e6":52520000', `"latitude_e6":${w.dice.of(['5.252e7', '52520000.0', '0.5252E+8'])}`),
  ],
  ['minus zero', (w) => w.replaced('"latitude_e6":52520000', '"latitude_e6":-0')],
  ['with a trace', (w) => w.with({ trace_id: 'a'.repeat(32), span_id: 'b'.repeat(16) })],
  ['with a parent', (w) => w.with({ parent_event_id: 'another-1' })],
  ['with gzip', (w) => ({ bytes: gzipSync(w.text), headers: { 'content-encoding': 'gzip' } })],
  ['in pieces', (w) => ({ bytes: Buffer.from(w.text), sending: 'pieces' })],
  ['again', (w) => (w.material.admitted.length > 0 ? w.dice.of(w.material.admitted) : w.text)],
  [
    'again with another amount',
    (w) => again(w, (old) => ({ ...old, payload: { ...(old['payload'] as Draft), amount_minor: 7 } })),
  ],
  ['again with another trace', (w) => again(w, (old) => ({ ...old, trace_id: 'c'.repeat(32) }))],

  // Bytes and syntax.
  ['truncated', (w) => w.text.slice(0, 1 + w.dice.below(w.text.length - 1))],
  ['flipped bits', (w) => w.flipped(Buffer.from(w.text))],
  ['a byte more', (w) => insert(w, Buffer.from([w.dice.below(256)]))],
  ['a byte less', (w) => cut(w)],
  ['something behind it', (w) => w.text + w.dice.of(['{}', ',', ']', '\u0000', 'null', w.text])],
  ['no object', (w) => w.dice.of([`[${w.text}]`, 'null', '7', 'true', '[]', '{}', JSON.stringify(w.text)])],
  ['single quotes', (w) => w.text.replaceAll('"', "'")],
  ['a comma too many', (w) => w.text.replace(/}$/, ',}')],
  ['a comment', (w) => w.text.replace('{', '{/* hello */')],
  ['no UTF-8', (w) => w.bytesReplaced('Berlin', w.dice.of(BAD_UTF8))],
  ['no UTF-8 in a name', (w) => w.bytesReplaced('"city"', `22${w.dice.of(BAD_UTF8)}22`)],
  ['a byte order mark', (w) => Buffer.concat([Buffer.from('efbbbf', 'hex'), Buffer.from(w.text)])],
  ['UTF-16', (w) => Buffer.from(w.text, 'utf16le')],
  ['raw control characters', (w) => w.replaced('Berlin', w.dice.of(['a\u0000b', 'a\u0007b', 'a\tb', 'a\u001fb']))],
  [
    'escaped control characters',
    (w) => w.replaced('Berlin', w.dice.of(['\\u0000', 'a\\u0000', '\\u0085', '\\ud83d\\ude00', '\\u2028'])),
  ],
  [
    'half a surrogate pair',
    (w) => w.replaced(w.dice.of(['Berlin', 'm-1', 'EUR']), w.dice.of(['\\ud800', 'a\\udfff', '\\ud83d\\ud83d'])),
  ],
  ['deep arrays', (w) => w.replaced('"Berlin"', nested('[', ']'))],
  ['deep objects', (w) => w.replaced('"Berlin"', '{"a":'.repeat(30_000) + '1' + '}'.repeat(30_000))],
  ['deep at the top', (w) => w.dice.of([nested('[', ']'), '['.repeat(DEPTH), '{"a":'.repeat(40_000)])],
  ['ten megabytes', (w) => (w.dice.roll() < 0.9 ? w.text : w.replaced('Berlin', 'x'.repeat(10_000_000)))],
  ['ten megabytes of blanks', (w) => (w.dice.roll() < 0.9 ? w.text : w.text + ' '.repeat(10_000_000))],
  [
    'a little too large',
    (w) => {
      // Within the object: blanks behind a line are no part of its event.
      const blanks = 262_144 - Buffer.byteLength(w.text) + w.dice.below(3);
      return w.text.replace('{', `{${' '.repeat(blanks)}`);
    },
  ],

  // Values that parsers disagree about.
  [
    'a number beyond all bounds',
    (w) => w.replaced('52520000', w.dice.of(['1e400', '-1e400', '1e99999999', '9'.repeat(400)])),
  ],
  [
    'a number that no double has',
    (w) =>
      w.replaced(
        '"amount_minor":',
        `"amount_minor":${w.dice.of(['9007199254740993', '18446744073709551616', '1e16'])}0`,
      ),
  ],
  [
    'a number of another kind',
    (w) =>
      w.replaced(
        '52520000',
        w.dice.of(['0.1', '01', '+1', '.5', '1.', '0x10', 'NaN', 'Infinity', '"52520000"', '1e-400']),
      ),
  ],
  ['a name twice', (w) => w.replaced('"producer":', '"producer":"payments-api","producer":')],
  [
    'a name twice in the payload',
    (w) => w.replaced('"city":', `"${w.dice.of(['city', 'cit\\u0079'])}":"Berlin","city":`),
  ],
  [
    '__proto__',
    (w) =>
      w.replaced(w.dice.of(['"city":', '"producer":']), `"__proto__":${w.dice.of(['{"a":1}', 'null', '"x"'])},"city":`),
  ],
  [
    'names of Object',
    (w) => w.replaced('"city"', `"${w.dice.of(['constructor', 'toString', 'hasOwnProperty', 'toJSON', 'then'])}"`),
  ],

  // Members.
  ['a wrong value', (w) => w.with({ [w.dice.of(Object.keys(w.draft))]: w.dice.of(WRONG_VALUES) })],
  [
    'a wrong value in the payload',
    (w) => w.withPayload({ [w.dice.of(Object.keys(w.payload))]: w.dice.of(WRONG_VALUES) }),
  ],
  ['a member less', (w) => w.with({ [w.dice.of(Object.keys(w.draft))]: undefined })],
  ['a member of the payload less', (w) => w.withPayload({ [w.dice.of(Object.keys(w.payload))]: undefined })],
  ['a member more', (w) => w.with({ [w.dice.of(['admitted_at_utc', 'x', 'Event_id', 'label'])]: 'x' })],
  ['a member of the payload more', (w) => w.withPayload({ [w.dice.of(['is_fraud', 'x', 'Card_id'])]: 'x' })],
  [
    'another known member',
    (w) => w.withPayload({ mcc: w.dice.of(['5411', '541', 5411]), country: w.dice.of(['DE', 'de', 'DEU']) }),
  ],
  [
    'an output as source',
    (w) => w.withPayload({ source: { output_id: w.dice.of(['transactions', 'labels']), row: w.dice.below(3) - 1 } }),
  ],
  [
    'a time in another form',
    (w) =>
      w.with({
        ts_utc: w.dice.of([
          '2026-02-30T00:00:00.000000Z',
          '2026-01-01T00:00:00Z',
          '2026-01-01T00:00:00.000000+00:00',
          '2026-01-01t00:00:00.000000z',
          '1899-12-31T23:59:59.999999Z',
          '2200-01-01T00:00:00.000000Z',
          '2024-02-29T23:59:59.999999Z',
          '2026-01-01T24:00:00.000000Z',
          '2026-01-01T00:00:60.000000Z',
        ]),
      }),
  ],
  ['a bad trace', (w) => w.with({ trace_id: w.dice.of(['0'.repeat(32), 'A'.repeat(32), 'a'.repeat(31)]) })],
  [
    'a bad id',
    (w) =>
      w.with({ event_id: w.dice.of(['-x', 'a b', 'ä', 'x'.repeat(129), "'; drop table admissions; --", '../../x']) }),
  ],

  // Provenance.
  ['a foreign pin', (w) => w.with(pick(w.dice.of(w.material.others), w.dice.of(PINS)))],
  ['pins of another run', (w) => w.with({ ...w.dice.of(w.material.others) })],
  [
    'pins that changed places',
    (w) => w.with({ manifest_fingerprint: w.draft['parameter_hash'], parameter_hash: w.draft['manifest_fingerprint'] }),
  ],
  [
    'a malformed pin',
    (w) =>
      w.with({
        [w.dice.of(PINS)]: w.dice.of([
          '0'.repeat(64),
          '0'.repeat(32),
          'F'.repeat(64),
          '18446744073709551616',
          '007',
          '-1',
          'A',
        ]),
      }),
  ],
  [
    'no world',
    (w) =>
      w.with({
        manifest_fingerprint: '0'.repeat(64),
        ...(w.dice.roll() < 0.5
          ? {}
          : { parameter_hash: undefined, seed: undefined, scenario_id: undefined, run_id: undefined }),
      }),
  ],
  [
    'a foreign producer',
    (w) =>
      w.with({ producer: w.dice.of(['wsp', 'payments-apj', 'Payments-api', 'df', '__proto__', 'constructor', '*']) }),
  ],
  [
    'another version',
    (w) => w.with({ schema_version: w.dice.of(['v2', 'v99999', 'v0', 'v01', '1', 'V1', 'v1.0', 'latest']) }),
  ],
  [
    'another type',
    (w) =>
      w.with({
        event_type: w.dice.of([
          'sr.ready',
          'df.decision',
          'Transaction',
          'transaction.v2',
          'constructor',
          'transaction*',
        ]),
      }),
  ],

  // The way here.
  ['gzip that is none', (w) => ({ bytes: Buffer.from(w.text), headers: { 'content-encoding': 'gzip' } })],
  [
    'gzip that breaks off',
    (w) => ({ bytes: gzipSync(w.text).subarray(0, 10 + w.dice.below(60)), headers: { 'content-encoding': 'gzip' } }),
  ],
  ['gzip with flipped bits', (w) => ({ bytes: w.flipped(gzipSync(w.text)), headers: { 'content-encoding': 'gzip' } })],
  [
    'another encoding',
    (w) => ({
      bytes: Buffer.from(w.text),
      headers: { 'content-encoding': w.dice.of(['br', 'deflate', 'gzip, gzip', 'x']) },
    }),
  ],
  [
    'another media type',
    (w) => ({
      bytes: Buffer.from(w.text),
      headers: {
        'content-type': w.dice.of(['text/plain', 'application/xml', 'application/json; charset=utf-16', 'x']),
      },
    }),
  ],
  ['a client that disappears', (w) => ({ bytes: Buffer.from(w.text), sending: 'vanishing' })],
];

function pick(pins: RunPins, name: (typeof PINS)[number]): Readonly<Record<string, Json>> {
  return { [name]: pins[name] };
}

function again(w: Workshop, change: (old: Draft) => Draft): string {
  if (w.material.admitted.length === 0) return w.text;
  return JSON.stringify(change(JSON.parse(w.dice.of(w.material.admitted)) as Draft));
}

function insert(w: Workshop, more: Buffer): Buffer {
  const bytes = Buffer.from(w.text);
  const at = w.dice.below(bytes.byteLength);
  return Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at)]);
}

function cut(w: Workshop): Buffer {
  const bytes = Buffer.from(w.text);
  const at = w.dice.below(bytes.byteLength);
  return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)]);
}
