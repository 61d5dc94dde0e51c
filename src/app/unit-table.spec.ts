import { describe, expect, it } from '@jest/globals';
import { Module } from '@nestjs/common';
import { defineContract } from '../substrate/rpc/rpc-contract.js';
import { defineUnits, type UnitPort, type UnitRow } from './unit-table.js';

@Module({})
class Nothing {}

abstract class Token {}
class Service extends Token {}

const row = {
  unit: 'some-unit',
  kind: 'service',
  why: 'It is an example.',
  module: Nothing,
  calls: [],
  produces: [],
  prefixes: [],
  policies: [],
  instances: 'many',
} as const satisfies UnitRow<string, string>;

const port = (role: string): UnitPort => ({ token: Token, service: Service, contract: defineContract(role, {}) });

const TOPICS = { 'a.v1': { why: 'an example', recordBytesMax: 1024 } } as const;

describe('the unit table', () => {
  it('puts whoever is called before whoever calls, whatever the order of the rows', () => {
    const { units } = defineUnits(TOPICS, {
      a: { ...row, port: port('a'), calls: ['c'] },
      b: { ...row, calls: ['a', 'c'] },
      c: { ...row, port: port('c') },
    });
    expect(units.map(({ role }) => role)).toEqual(['c', 'a', 'b']);
  });

  it('refuses a circle of calls and names its path', () => {
    const rows = {
      a: { ...row, port: port('a'), calls: ['b'] },
      b: { ...row, port: port('b'), calls: ['a'] },
    } as const;
    expect(() => defineUnits(TOPICS, rows)).toThrow('calls form a circle: a → b → a');
  });

  it('refuses a call of a unit that has no port', () => {
    expect(() => defineUnits(TOPICS, { a: { ...row, calls: ['b'] }, b: row })).toThrow('a calls b, which has no port');
  });

  it.each([
    ['schema', { schema: 'ledger' }],
    ['prefix', { prefixes: ['ig/'] }],
  ])('refuses two owners of one %s', (kind, owned) => {
    expect(() => defineUnits(TOPICS, { a: { ...row, ...owned }, b: { ...row, ...owned } })).toThrow(
      new RegExp(`${kind} .* is owned by both a and b`),
    );
  });

  it('does not compile with a role or topic that is not there', () => {
    // @ts-expect-error -- there is no role "nobody"
    expect(() => defineUnits(TOPICS, { a: { ...row, calls: ['nobody'] } })).toThrow('a calls nobody');
    // @ts-expect-error -- there is no topic "b.v1"
    expect(defineUnits(TOPICS, { a: { ...row, produces: ['b.v1'] } }).units).toHaveLength(1);
    expect(defineUnits(TOPICS, { a: { ...row, produces: ['a.v1'] } }).units).toHaveLength(1);
  });
});
