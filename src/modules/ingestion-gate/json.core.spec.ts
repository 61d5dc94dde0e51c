import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { canonicalJson, type JsonValue } from '../../rails/canonical-json.js';
import { CanonicalWriter, DEPTH_MAX, NoCanonicalForm, readJson } from './json.core.js';

function canonicalOf(text: string): string {
  const reading = readJson(text);
  if (!reading.ok) throw new Error(reading.says);
  const writer = new CanonicalWriter(reading.look);
  const canonical = writer.write(reading.value as JsonValue);
  writer.demandEachNameOnce();
  return canonical;
}

function refusalOf(text: string): string {
  try {
    canonicalOf(text);
  } catch (error) {
    if (error instanceof NoCanonicalForm) return error.says;
    if (error instanceof Error) return error.message;
  }
  return 'taken';
}

/** The same value in another spelling: blanks between the tokens, and every letter `a` of a string as an escape. */
function respelled(text: string): string {
  const spaced = JSON.stringify(JSON.parse(text), null, 3);
  return spaced.replace(/"(?:[^"\\]|\\.)*"/g, (literal) =>
    literal.replace(/(?<!\\(?:\\\\)*|\\u[0-9a-f]{0,3})a/g, '\\u0061'),
  );
}

describe('JSON at the gate', () => {
  it('writes the very text of the rails for every value that JSON has', () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
        const text = JSON.stringify(value);
        let expected: string;
        try {
          expected = canonicalJson(JSON.parse(text));
        } catch {
          // The rails refuse it (halves of surrogate pairs): so must the gate.
          expect(refusalOf(text)).not.toBe('taken');
          return;
        }
        if (text.includes('__proto__')) return;
        expect(canonicalOf(text)).toBe(expected);
        expect(canonicalOf(respelled(text))).toBe(expected);
      }),
      { numRuns: 500 },
    );
  });

  it('writes numbers as the rails do, whatever their size and sign', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (number) => {
        expect(canonicalOf(JSON.stringify([number]))).toBe(canonicalJson([number]));
      }),
    );
    expect(canonicalOf('[-0, 1E2, 1e21, 1e-7]')).toBe('[0,100,1e+21,1e-7]');
  });

  it.each([
    ['{"a":1,"a":1}', 'has an object with two members of one name'],
    ['{"a":{"b":1,"c":2,"b":3}}', 'has an object with two members of one name'],
    [String.raw`{"a":1,"\u0061":2}`, 'has an object with two members of one name'],
    ['[{"x":":"},{"x":":","x":"{"}]', 'has an object with two members of one name'],
    ['{"__proto__":{"a":1}}', 'has a member named __proto__'],
    [String.raw`{"__pro\u0074o__":1}`, 'has a member named __proto__'],
    [String.raw`["\ud800"]`, 'has a text with half of a surrogate pair'],
    [String.raw`["\uDC00x"]`, 'has a text with half of a surrogate pair'],
    ['["\ud800"]', 'has a text with half of a surrogate pair'],
    [String.raw`{"\udfff":1}`, 'has a text with half of a surrogate pair'],
    ['[1e400]', 'has a number that is too large'],
    ['[-1e400]', 'has a number that is too large'],
    [`${'['.repeat(DEPTH_MAX + 1)}${']'.repeat(DEPTH_MAX + 1)}`, `is nested deeper than ${DEPTH_MAX} levels`],
    ['['.repeat(1_000_000), `is nested deeper than ${DEPTH_MAX} levels`],
    ['{"a":1', 'is not JSON'],
    ['', 'is not JSON'],
    ["{'a':1}", 'is not JSON'],
    ['{"a":01}', 'is not JSON'],
    ['\ufeff{}', 'is not JSON'],
    ['{"a":NaN}', 'is not JSON'],
  ])('refuses %.60s', (text, says) => {
    expect(refusalOf(text)).toBe(says);
  });

  it('takes colons, braces, quotes and whole surrogate pairs inside strings for what they are', () => {
    for (const text of ['{"a:b":"c:{[d","e":"\\":\\"}"}', '["\\ud83d\\ude00","\ud83d\ude00"]', '{"":{"":""}}', '"a"'])
      expect(canonicalOf(text)).toBe(canonicalJson(JSON.parse(text)));
    expect(canonicalOf(`${'['.repeat(DEPTH_MAX)}${']'.repeat(DEPTH_MAX)}`)).toHaveLength(2 * DEPTH_MAX);
  });

  it('finds every doubled name, however deep it lies', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.string(), fc.nat(5), (value, name, depth) => {
        const quoted = JSON.stringify(name);
        const inner = `{${quoted}:${JSON.stringify(value)},"other":0,${quoted}:1}`;
        const text = `${'['.repeat(depth)}${inner}${']'.repeat(depth)}`;
        expect(refusalOf(text)).not.toBe('taken');
      }),
    );
  });
});
