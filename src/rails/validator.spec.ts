import { Type } from '@sinclair/typebox';
import { describe, expect, it } from '@jest/globals';
import { closed, safeInteger } from './schema.js';
import { UtcMicrosSchema } from './time.js';
import { validatorOf } from './validator.js';

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
