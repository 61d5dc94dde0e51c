import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { rawMembers } from './raw-members.core.js';

describe('the members of an object as they stand in its text', () => {
  it('keep what a parser would lose', () => {
    const text = ' { "reason" : "typo, \\"}\\"" ,\n"correction":{"n": 9007199254740993, "a":1, "a":[2,{}]}  }';
    expect(rawMembers(text)).toEqual([
      ['reason', '"typo, \\"}\\""'],
      ['correction', '{"n": 9007199254740993, "a":1, "a":[2,{}]}'],
    ]);
    expect(rawMembers('{}')).toEqual([]);
    expect(rawMembers('{"a":1,"a":2}')).toEqual([
      ['a', '1'],
      ['a', '2'],
    ]);
  });

  it('are the very values, whatever object it is and however it is written', () => {
    const indents = fc.constantFrom(undefined, 1, '\t');
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue(), { noNullPrototype: true }), indents, (object, indent) => {
        const parsed = JSON.parse(JSON.stringify(object)) as Record<string, unknown>;
        const members = rawMembers(JSON.stringify(object, undefined, indent));
        expect(members.map(([name]) => name)).toEqual(Object.keys(parsed));
        for (const [name, value] of members) expect(JSON.parse(value)).toEqual(parsed[name]);
      }),
    );
  });
});
