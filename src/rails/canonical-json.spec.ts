import { isDeepStrictEqual } from 'node:util';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from '@jest/globals';
import canonicalize from 'canonicalize';
import fc from 'fast-check';
import { asCanonicalJson, canonicalJson, digestCanonical } from './canonical-json.js';
import { digestText } from './digest.js';

/** RFC 8785, appendix B: IEEE 754 bits as hex, and the text that they become. */
const RFC_NUMBERS = [
  ['0000000000000000', '0'],
  ['8000000000000000', '0'],
  ['0000000000000001', '5e-324'],
  ['8000000000000001', '-5e-324'],
  ['7fefffffffffffff', '1.7976931348623157e+308'],
  ['ffefffffffffffff', '-1.7976931348623157e+308'],
  ['4340000000000000', '9007199254740992'],
  ['c340000000000000', '-9007199254740992'],
  ['4430000000000000', '295147905179352830000'],
  ['44b52d02c7e14af5', '9.999999999999997e+22'],
  ['44b52d02c7e14af6', '1e+23'],
  ['44b52d02c7e14af7', '1.0000000000000001e+23'],
  ['444b1ae4d6e2ef4e', '999999999999999700000'],
  ['444b1ae4d6e2ef4f', '999999999999999900000'],
  ['444b1ae4d6e2ef50', '1e+21'],
  ['3eb0c6f7a0b5ed8c', '9.999999999999997e-7'],
  ['3eb0c6f7a0b5ed8d', '0.000001'],
  ['41b3de4355555553', '333333333.3333332'],
  ['41b3de4355555554', '333333333.33333325'],
  ['41b3de4355555555', '333333333.3333333'],
  ['41b3de4355555556', '333333333.3333334'],
  ['41b3de4355555557', '333333333.33333343'],
  ['becbf647612f3696', '-0.0000033333333333333333'],
  ['43143ff3c1cb0959', '1424953923781206.2'],
] as const;

const RFC_NOT_NUMBERS = ['7fffffffffffffff', '7ff0000000000000', 'fff0000000000000'];

function doubleOf(hex: string): number {
  return Buffer.from(hex, 'hex').readDoubleBE(0);
}

/** RFC 8785, section 3.2.2: the sample input, as JSON text. */
const RFC_SAMPLE = String.raw`{
  "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
  "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
  "literals": [null, true, false]
}`;

/** RFC 8785, section 3.2.4: the bytes of the sample's canonical form. */
const RFC_SAMPLE_BYTES = `
  7b 22 6c 69 74 65 72 61 6c 73 22 3a 5b 6e 75 6c 6c 2c 74 72
  75 65 2c 66 61 6c 73 65 5d 2c 22 6e 75 6d 62 65 72 73 22 3a
  5b 33 33 33 33 33 33 33 33 33 2e 33 33 33 33 33 33 33 2c 31
  65 2b 33 30 2c 34 2e 35 2c 30 2e 30 30 32 2c 31 65 2d 32 37
  5d 2c 22 73 74 72 69 6e 67 22 3a 22 e2 82 ac 24 5c 75 30 30
  30 66 5c 6e 41 27 42 5c 22 5c 5c 5c 5c 5c 22 2f 22 7d`.replace(/\s/g, '');

/** RFC 8785, section 3.2.3: keys in an order that only UTF-16 code units give. */
const RFC_SORTING = String.raw`{
  "\u20ac": "Euro Sign",
  "\r": "Carriage Return",
  "\ufb33": "Hebrew Letter Dalet With Dagesh",
  "1": "One",
  "\ud83d\ude00": "Emoji: Grinning Face",
  "\u0080": "Control",
  "\u00f6": "Latin Small Letter O With Diaeresis"
}`;
const RFC_SORTED = [
  'Carriage Return',
  'One',
  'Control',
  'Latin Small Letter O With Diaeresis',
  'Euro Sign',
  'Emoji: Grinning Face',
  'Hebrew Letter Dalet With Dagesh',
];

describe('the vectors of RFC 8785', () => {
  it.each(RFC_NUMBERS)('writes the double %s as %s', (hex, text) => {
    expect(canonicalJson(doubleOf(hex))).toBe(text);
  });

  it.each(RFC_NOT_NUMBERS)('refuses the double %s', (hex) => {
    expect(() => canonicalJson(doubleOf(hex))).toThrow('CANONICAL_FORM_INVALID');
  });

  it('writes the sample of section 3.2.2 as the bytes of section 3.2.4', () => {
    expect(Buffer.from(canonicalJson(JSON.parse(RFC_SAMPLE)), 'utf8').toString('hex')).toBe(RFC_SAMPLE_BYTES);
  });

  it('sorts the keys of section 3.2.3 by UTF-16 code units', () => {
    const text = canonicalJson(JSON.parse(RFC_SORTING));
    expect([...text.matchAll(/":"([^"]*)"/g)].map((match) => match[1])).toEqual(RFC_SORTED);
  });

  it('sorts at every level and keeps the order of arrays', () => {
    expect(canonicalJson({ b: [3, { z: 1, a: 2 }, 1], a: {}, '': [] })).toBe('{"":[],"a":{},"b":[3,{"a":2,"z":1},1]}');
  });
});

describe('what has no canonical form', () => {
  const cycle: Record<string, unknown> = {};
  cycle['self'] = [cycle];
  const sparse = [1, 2, 3];
  // eslint-disable-next-line @typescript-eslint/no-array-delete -- a hole is the case under test
  delete sparse[1];
  const deep = JSON.parse('['.repeat(20_000) + ']'.repeat(20_000)) as unknown;
  class Amount {
    readonly minor = 1;
  }

  it.each<[string, unknown, string]>([
    ['undefined itself', undefined, '$'],
    ['undefined as a member', { a: { b: undefined } }, '$.a.b'],
    ['undefined in an array', [1, undefined], '$[1]'],
    ['NaN', { a: [Number.NaN] }, '$.a[0]'],
    ['Infinity', Number.POSITIVE_INFINITY, '$'],
    ['a BigInt', { seed: 7n }, '$.seed'],
    ['a function', { f: () => 1 }, '$.f'],
    ['a symbol', [Symbol('s')], '$[0]'],
    ['a symbol as a key', { [Symbol('s')]: 1 }, '$'],
    ['half of a surrogate pair', { text: '\ud83d' }, '$.text'],
    ['the wrong half first', ['\ude00\ud83d'], '$[0]'],
    ['half of a surrogate pair in a key', { '\udead': 1 }, '$'],
    ['a date', { at: new Date(0) }, '$.at'],
    ['bytes', { bytes: new Uint8Array([1]) }, '$.bytes'],
    ['a Buffer', Buffer.from('x'), '$'],
    ['a Map', new Map([['a', 1]]), '$'],
    ['an instance of a class', { amount: new Amount() }, '$.amount'],
    ['a boxed number', Object(1), '$'],
    ['an own toJSON', { toJSON: () => 1 }, '$'],
    ['an inherited toJSON', Object.create({ toJSON: () => 1 }), '$'],
    ['a toJSON on a bare prototype', Object.create(Object.setPrototypeOf({ toJSON: () => 1 }, null) as object), '$'],
    ['a cycle', cycle, '$'],
    ['20,000 levels', deep, '$'],
    ['a hole', sparse, '$'],
    ['an array with members', Object.assign([1], { extra: 2 }), '$'],
    ['a hole made up for by a member', Object.assign(sparse.slice(), { extra: 2 }), '$[1]'],
    ['a getter', Object.defineProperty({}, 'a', { enumerable: true, get: () => 1 }), '$.a'],
    ['a hidden member', Object.defineProperty({}, 'a', { enumerable: false, value: 1 }), '$.a'],
  ])('%s is refused with its place', (_name, value, place) => {
    expect(() => canonicalJson(value)).toThrow(
      expect.objectContaining({ code: 'CANONICAL_FORM_INVALID', detail: expect.stringContaining(`(at ${place})`) }),
    );
  });

  it('takes what only looks strange', () => {
    expect(canonicalJson(JSON.parse('{"__proto__":{"toJSON":1},"constructor":null}'))).toBe(
      '{"__proto__":{"toJSON":1},"constructor":null}',
    );
    expect(canonicalJson(Object.assign(Object.create(null), { a: 1 }))).toBe('{"a":1}');
    expect(canonicalJson(runInNewContext('({ b: [1, { a: null }] })'))).toBe('{"b":[1,{"a":null}]}');
    expect(canonicalJson(Object.freeze([Object.freeze({ a: -0 })]))).toBe('[{"a":0}]');
    expect(canonicalJson(JSON.parse('['.repeat(128) + ']'.repeat(128)))).toHaveLength(256);
  });

  it('names the place and never the value', () => {
    expect(() => canonicalJson({ card: 'secret-4111\ud800' })).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('4111') }),
    );
  });
});

/** JSON as people send it: well-formed text, finite numbers; -0 left out, since JSON writes it as 0. */
const json = fc
  .jsonValue({ depthSize: 'medium', stringUnit: 'binary' })
  .map((value) => JSON.parse(JSON.stringify(value)) as unknown);

const small = fc
  .jsonValue({ maxDepth: 2, stringUnit: fc.constantFrom('a', '1', '"', ',', ':') })
  .map((value) => JSON.parse(JSON.stringify(value)) as unknown);

function reversedKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversedKeys);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, member]) => [key, reversedKeys(member)]),
  );
}

describe('canonical form', () => {
  it('is a fixed point', () => {
    fc.assert(
      fc.property(json, (value) => {
        const text = canonicalJson(value);
        expect(canonicalJson(JSON.parse(text))).toBe(text);
        expect(asCanonicalJson(text)).toBe(text);
      }),
    );
  });

  it('says the same value', () => {
    fc.assert(fc.property(json, (value) => expect(JSON.parse(canonicalJson(value))).toEqual(value)));
  });

  it('is what the library writes, of whatever stands in order already and of whatever does not', () => {
    fc.assert(
      fc.property(json, (value) => {
        const written = canonicalize(value);
        expect(canonicalJson(value)).toBe(written);
        expect(canonicalJson(JSON.parse(written ?? ''))).toBe(written);
      }),
    );
    // An engine puts keys that look like indices first, by their value: parsed from a canonical text they do not stand in order.
    expect(canonicalJson(JSON.parse('{"1":0,"10":0,"2":0}'))).toBe('{"1":0,"10":0,"2":0}');
  });

  it('does not depend on the order of keys', () => {
    fc.assert(fc.property(json, (value) => expect(canonicalJson(reversedKeys(value))).toBe(canonicalJson(value))));
  });

  it('differs where values differ', () => {
    fc.assert(
      // Few letters, so that both equal pairs and near misses ("a" and ["a"], 1 and "1") come up.
      fc.property(small, small, (a, b) => {
        expect(canonicalJson(a) === canonicalJson(b)).toBe(isDeepStrictEqual(a, b));
      }),
    );
    fc.assert(
      fc.property(fc.string(), fc.string(), (a, b) => {
        fc.pre(a !== b);
        expect(digestCanonical({ key: a })).not.toBe(digestCanonical({ key: b }));
      }),
    );
  });

  it('is what the digest is taken of, as UTF-8', () => {
    expect(digestCanonical({ b: 'é', a: 1 })).toBe(digestText('{"a":1,"b":"é"}'));
  });
});

describe('a text that claims to be canonical', () => {
  it.each(['{"b":1,"a":2}', '{ "a":1}', '[1.0]', '"\\u0041"', '{"a":1,"a":1}', '', '[1,]'])('%s is not', (text) => {
    expect(() => asCanonicalJson(text)).toThrow('CANONICAL_FORM_INVALID');
  });
});
