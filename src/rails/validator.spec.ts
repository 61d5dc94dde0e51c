import { Type } from '@sinclair/typebox';
import { describe, expect, it } from '@jest/globals';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { closed, safeInteger } from './schema.js';
import { isUtcMicros, UtcMicrosSchema } from './time.js';
import { inParts, validatorOf } from './validator.js';

const things = validatorOf(
  closed({
    name: Type.String({ minLength: 1 }),
    count: safeInteger(0, 'how many'),
    at: Type.Optional(UtcMicrosSchema),
    parts: Type.Optional(Type.Array(closed({ id: Type.String() }))),
  }),
  'the thing',
);

describe('a validator', () => {
  it('hands back the very value, unchanged', () => {
    const value = Object.freeze({ name: 'a', count: 0 });
    expect(things.demand(value)).toBe(value);
    expect(things.check(value)).toEqual({ ok: true, value });
  });

  it('repairs nothing', () => {
    // Coercion, defaults and the removal of members would each make a value that its digest does not name.
    expect(things.check({ name: 'a', count: '0' })).toEqual({
      ok: false,
      fault: { at: '/count', says: 'must be integer' },
    });
    expect(things.check({ name: 'a' })).toMatchObject({ ok: false });
    expect(things.check({ name: 'a', count: 0, more: 1 })).toMatchObject({ ok: false });
  });

  it('names the place, deep down too', () => {
    expect(() => things.demand({ name: 'a', count: 1, parts: [{ id: 'x' }, { id: 7 }] })).toThrow(
      expect.objectContaining({
        code: 'VALUE_INVALID',
        detail: 'the thing at /parts/1/id must be string',
        data: { at: '/parts/1/id' },
      }),
    );
    expect(() => things.demand(7)).toThrow('the thing must be object');
  });

  it('stops at the first fault', () => {
    // An attacker's ten thousand faults are not even looked at.
    let looks = 0;
    const part = {
      get id() {
        looks += 1;
        return 7;
      },
    };
    expect(things.check({ name: '', count: -1, parts: Array.from({ length: 10_000 }, () => part) })).toEqual({
      ok: false,
      fault: { at: '/name', says: 'must NOT have fewer than 1 characters' },
    });
    expect(looks).toBe(0);
    expect(things.check({ name: 'a', count: 1, parts: Array.from({ length: 10_000 }, () => part) }).ok).toBe(false);
    expect(looks).toBeLessThan(10);
  });

  it('knows the calendar, which a pattern does not', () => {
    expect(things.check({ name: 'a', count: 1, at: '2018-02-28T00:00:00.000000Z' })).toMatchObject({ ok: true });
    expect(things.check({ name: 'a', count: 1, at: '2018-02-29T00:00:00.000000Z' })).toMatchObject({ ok: false });
  });

  it('takes no whole number that a reader of JSON could round', () => {
    expect(things.check({ name: 'a', count: Number.MAX_SAFE_INTEGER })).toMatchObject({ ok: true });
    expect(things.check({ name: 'a', count: Number.MAX_SAFE_INTEGER + 1 })).toMatchObject({ ok: false });
  });
});

describe('a schema in parts', () => {
  const whole = new Ajv2020({ strict: true, ownProperties: true });
  whole.addFormat('date-time', { type: 'string', validate: isUtcMicros });
  const schema = Type.Object({
    outcome: Type.Union([Type.Literal('A'), Type.Literal('B'), Type.Literal(3)]),
    // Some of its members are constants, and one is not.
    mixed: Type.Optional(Type.Union([Type.Literal('A'), Type.Integer()])),
    either: Type.Union([closed({ kind: Type.Literal('x'), at: UtcMicrosSchema }), closed({ kind: Type.Literal('y') })]),
    one: closed({ id: Type.String(), default: Type.Optional(closed({ id: Type.String() })) }),
    other: Type.Optional(closed({ id: Type.String(), default: Type.Optional(closed({ id: Type.String() })) })),
    many: Type.Array(closed({ id: Type.String(), default: Type.Optional(closed({ id: Type.String() })) }), {
      maxItems: 2,
    }),
    constant: Type.Optional(Type.Unsafe({ const: { type: 'object', anyOf: [{ const: 1 }] } })),
  });
  const judged = validatorOf(schema, 'the value');
  const published = whole.compile(JSON.parse(JSON.stringify(schema)) as object);
  const part = fc.record(
    { id: fc.constantFrom('x', 1), default: fc.record({ id: fc.constantFrom('y', null) }) },
    { requiredKeys: [] },
  );
  const values = fc.record(
    {
      outcome: fc.constantFrom('A', 'B', 'C', 3, 4),
      mixed: fc.constantFrom('A', 'B', 7),
      either: fc.constantFrom(
        { kind: 'x', at: '2018-02-28T00:00:00.000000Z' },
        { kind: 'x' },
        { kind: 'y' },
        { kind: 'y', at: 1 },
        { kind: 'z' },
      ),
      one: part,
      other: part,
      many: fc.array(part, { maxLength: 3 }),
      constant: fc.constantFrom({ type: 'object', anyOf: [{ const: 1 }] }, { type: 'object', enum: [1] }),
    },
    { requiredKeys: ['outcome', 'either', 'one', 'many'] },
  );

  it('judges every value as the published one does', () => {
    const seen = { right: 0, wrong: 0 };
    fc.assert(
      fc.property(values, (value) => {
        const right = published(value);
        seen[right ? 'right' : 'wrong'] += 1;
        expect(judged.check(value).ok).toBe(right);
      }),
      { numRuns: 2_000 },
    );
    expect(Math.min(seen.right, seen.wrong)).toBeGreaterThan(0);
  });

  it('holds equal objects once, and a union of constants as one list', () => {
    const { $defs, properties } = inParts(schema) as { $defs: object; properties: Record<string, object> };
    expect(properties['one']).toEqual(properties['other']);
    expect(Object.keys($defs)).toHaveLength(3);
    expect(properties['outcome']).toEqual({ enum: ['A', 'B', 3] });
    expect(properties['constant']).toEqual({ const: { type: 'object', anyOf: [{ const: 1 }] } });
  });
});
