import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { digestText, type Digest } from './digest.js';
import { IDEMPOTENCY_CASES } from './idempotency.cases.js';
import { judge, judgeBatch, type Offer } from './idempotency.js';

const offer: fc.Arbitrary<Offer> = fc
  .record({ identity: fc.constantFrom('a', 'b', 'c'), content: fc.constantFrom('1', '2') })
  .map(({ identity, content }) => ({ identity, content: digestText(content) }));
const batch = fc.array(offer, { maxLength: 10 });

/** A store that keeps what the judgements call NEW. */
function bring(store: Map<string, Digest>, offers: readonly Offer[]) {
  const judgements = judgeBatch(offers, store);
  judgements.forEach(({ outcome }, index) => {
    const brought = offers[index];
    if (outcome === 'NEW' && brought !== undefined) store.set(brought.identity, brought.content);
  });
  return judgements;
}

describe('the shared cases', () => {
  it.each(IDEMPOTENCY_CASES)('$name', ({ batches, outcomes, stands }) => {
    const store = new Map<string, Digest>();
    const found = batches.map((offers) =>
      bring(
        store,
        offers.map(({ identity, content }) => ({ identity, content: digestText(content) })),
      ).map(({ outcome }) => outcome),
    );
    expect(found).toEqual(outcomes);
    const expected = Object.entries(stands).map(([identity, content]) => [identity, digestText(content)]);
    expect([...store]).toEqual(expected);
  });
});

describe('a batch', () => {
  it('is judged as if its offers came one by one', () => {
    fc.assert(
      fc.property(batch, batch, (before, offers) => {
        const [whole, single] = [new Map<string, Digest>(), new Map<string, Digest>()];
        bring(whole, before);
        for (const one of before) bring(single, [one]);
        const judgements = bring(whole, offers);
        const oneByOne = offers.flatMap((one) => bring(single, [one]));
        expect(judgements.map(({ outcome }) => outcome)).toEqual(oneByOne.map(({ outcome }) => outcome));
        expect([...whole]).toEqual([...single]);
      }),
    );
  });

  it('brought again changes nothing', () => {
    fc.assert(
      fc.property(batch, (offers) => {
        const store = new Map<string, Digest>();
        bring(store, offers);
        const before = [...store];
        expect(bring(store, offers).some(({ outcome }) => outcome === 'NEW')).toBe(false);
        expect([...store]).toEqual(before);
      }),
    );
  });

  it('says what stands, and which offer of the batch brought it', () => {
    const [one, two] = [digestText('1'), digestText('2')];
    const offers = [
      { identity: 'a', content: two },
      { identity: 'b', content: one },
      { identity: 'b', content: two },
    ];
    expect(judgeBatch(offers, new Map([['a', one]]))).toEqual([
      { outcome: 'CONFLICT', standing: one, firstIndex: null },
      { outcome: 'NEW' },
      { outcome: 'CONFLICT', standing: one, firstIndex: 1 },
    ]);
  });

  it('of nothing is nothing', () => {
    expect(judgeBatch([], new Map())).toEqual([]);
  });
});

describe('one offer', () => {
  it('follows the table', () => {
    const [one, two] = [digestText('1'), digestText('2')];
    expect(judge(undefined, one)).toBe('NEW');
    expect(judge(one, one)).toBe('DUPLICATE');
    expect(judge(one, two)).toBe('CONFLICT');
  });
});
