import { describe, expect, it } from '@jest/globals';
import { compileMapping, mapped, mappingFaults } from './mapping.core.js';
import { EDGES_POLICY, type EdgesPolicy } from './producer-edges.policy.js';

const MAPPING = {
  transaction_id: 'id',
  occurred_at: '/meta/at',
  currency: { constant: 'EUR' },
  amount: '/lines/0/sum~1gross',
  city: 'city',
};

describe('the mapping of a record', () => {
  it('takes members, places and constants; what is not there is absent', () => {
    const record = {
      id: 'r-1',
      meta: { at: '2026-03-01T00:00:00Z' },
      lines: [{ 'sum/gross': '1.00' }],
      city: null,
      other: 1,
    };
    expect(mapped(record, compileMapping(MAPPING))).toEqual({
      transaction_id: 'r-1',
      occurred_at: '2026-03-01T00:00:00Z',
      currency: 'EUR',
      amount: '1.00',
    });
    expect(mapped({}, compileMapping({ a: '/x/y', b: 'toString', c: '/x/__proto__' }))).toEqual({});
    expect(mapped('text', compileMapping(MAPPING))).toBe('text');
  });

  it('is checked with the policy, by place', () => {
    expect(mappingFaults(MAPPING)).toEqual([]);
    const faults = mappingFaults({
      'Bad/Name': 'x',
      a: '',
      b: '/x~2',
      c: { constant: {} },
      d: { constant: 1, more: 2 },
      e: null,
    });
    expect(faults.map(({ pointer }) => pointer)).toEqual(['/Bad~1Name', '/a', '/b', '/c', '/d', '/e']);
  });
});

describe('the policy of the edges', () => {
  const source = {
    producer: 'till',
    topic: 'shop.payments',
    group: 'till',
    start: 'earliest',
    run_equivalence_key: 'live',
  } as const;
  const pointersOf = (policy: EdgesPolicy): readonly string[] =>
    (EDGES_POLICY.check?.(policy as never) ?? []).map(({ pointer }) => pointer);
  const entry = (producer: string, ...principals: string[]): EdgesPolicy['http'][number] => ({
    producer,
    principals,
    run_equivalence_key: 'live',
  });

  it('is right as it should be', () => {
    expect(pointersOf({ http: [entry('a', 'HUMAN::x'), entry('b', 'HUMAN::y')], sources: [source] })).toEqual([]);
  });

  it('names a principal once', () => {
    expect(pointersOf({ http: [entry('a', 'HUMAN::x'), entry('b', 'HUMAN::y', 'HUMAN::x')], sources: [] })).toEqual([
      '/http/1/principals/1',
    ]);
  });

  it("reads no topic of the platform's own, and no group twice", () => {
    const sources = [
      { ...source, topic: 'fp.bus.traffic.v1' },
      { ...source, mapping: { city: 7 } },
    ];
    expect(pointersOf({ http: [], sources })).toEqual([
      '/sources/0/topic',
      '/sources/1/group',
      '/sources/1/mapping/city',
    ]);
  });
});
