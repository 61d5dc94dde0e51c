import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  advance,
  asBasis,
  basisDigest,
  basisRecord,
  compareBases,
  covers,
  emptyBasis,
  joinBases,
  meetBases,
  nextOffset,
  restrictBasis,
  topicsOf,
  type Basis,
  type Progress,
} from './basis.js';
import { asEbRef, asOffset } from './eb-ref.js';

const TRAFFIC = 'fp.bus.traffic.v1';
const CONTROL = 'fp.bus.control.v1';
const TOPICS = [TRAFFIC, CONTROL];

function at(topic: string, partition: number, next: number): Progress {
  return { topic, partition, nextOffset: asOffset(next) };
}

/** Few partitions and offsets, so that equal, ordered and concurrent bases all come up. */
const progress: fc.Arbitrary<Progress> = fc
  .tuple(fc.constantFrom(...TOPICS), fc.nat(3), fc.nat(3))
  .map(([topic, partition, next]) => at(topic, partition, next));
const basis: fc.Arbitrary<Basis> = fc
  .uniqueArray(progress, { maxLength: 8, selector: ({ topic, partition }) => `${topic}/${partition}` })
  .map((steps) => advance(emptyBasis(TOPICS), steps));

const atMost = (a: Basis, b: Basis): boolean => ['EQUAL', 'BEFORE'].includes(compareBases(a, b));

describe('join and meet', () => {
  it('are commutative, associative and idempotent', () => {
    fc.assert(
      fc.property(basis, basis, basis, (a, b, c) => {
        for (const combine of [joinBases, meetBases]) {
          expect(combine(a, b)).toEqual(combine(b, a));
          expect(combine(combine(a, b), c)).toEqual(combine(a, combine(b, c)));
          expect(combine(a, a)).toEqual(a);
        }
      }),
    );
  });

  it('absorb each other and distribute over each other', () => {
    fc.assert(
      fc.property(basis, basis, basis, (a, b, c) => {
        expect(joinBases(a, meetBases(a, b))).toEqual(a);
        expect(meetBases(a, joinBases(a, b))).toEqual(a);
        expect(joinBases(a, meetBases(b, c))).toEqual(meetBases(joinBases(a, b), joinBases(a, c)));
      }),
    );
  });

  it('are the least basis above both and the greatest below both', () => {
    fc.assert(
      fc.property(basis, basis, basis, (a, b, c) => {
        expect(atMost(a, joinBases(a, b)) && atMost(b, joinBases(a, b))).toBe(true);
        expect(atMost(meetBases(a, b), a) && atMost(meetBases(a, b), b)).toBe(true);
        if (atMost(a, c) && atMost(b, c)) expect(atMost(joinBases(a, b), c)).toBe(true);
        if (atMost(c, a) && atMost(c, b)) expect(atMost(c, meetBases(a, b))).toBe(true);
      }),
    );
  });

  it('are monotone', () => {
    fc.assert(
      fc.property(basis, basis, basis, (a, b, c) => {
        const higher = joinBases(a, b);
        expect(atMost(joinBases(a, c), joinBases(higher, c))).toBe(true);
        expect(atMost(meetBases(a, c), meetBases(higher, c))).toBe(true);
      }),
    );
  });

  it('have the empty basis at the bottom', () => {
    fc.assert(
      fc.property(basis, (a) => {
        expect(joinBases(a, emptyBasis(TOPICS))).toEqual(a);
        expect(meetBases(a, emptyBasis(TOPICS))).toEqual(emptyBasis(TOPICS));
      }),
    );
  });
});

describe('the order of bases', () => {
  it('is a partial order that reads the same from both sides', () => {
    const mirror = { EQUAL: 'EQUAL', BEFORE: 'AFTER', AFTER: 'BEFORE', CONCURRENT: 'CONCURRENT' };
    fc.assert(
      fc.property(basis, basis, basis, (a, b, c) => {
        expect(compareBases(a, a)).toBe('EQUAL');
        expect(compareBases(b, a)).toBe(mirror[compareBases(a, b)]);
        if (atMost(a, b) && atMost(b, c)) expect(atMost(a, c)).toBe(true);
        if (atMost(a, b) && atMost(b, a)) expect(a).toEqual(b);
      }),
    );
  });

  it('is the one that join and meet make', () => {
    fc.assert(
      fc.property(basis, basis, (a, b) => {
        expect(atMost(a, b)).toBe(basisDigest(joinBases(a, b)) === basisDigest(b));
        expect(atMost(a, b)).toBe(basisDigest(meetBases(a, b)) === basisDigest(a));
      }),
    );
  });

  it('tells the four cases apart', () => {
    const start = advance(emptyBasis(TOPICS), [at(TRAFFIC, 0, 5), at(TRAFFIC, 1, 5)]);
    const ahead = advance(start, [at(CONTROL, 0, 1)]);
    const aside = advance(start, [at(TRAFFIC, 1, 6)]);
    expect(compareBases(start, ahead)).toBe('BEFORE');
    expect(compareBases(ahead, start)).toBe('AFTER');
    expect(compareBases(ahead, aside)).toBe('CONCURRENT');
    expect(compareBases(start, advance(start, []))).toBe('EQUAL');
  });
});

describe('the digest', () => {
  it('is the same in whatever order the partitions came, and only then', () => {
    const steps = fc.uniqueArray(progress, { selector: ({ topic, partition }) => `${topic}/${partition}` });
    fc.assert(
      fc.property(steps, fc.infiniteStream(fc.nat()), (order, keys) => {
        const shuffled = order
          .map((step) => ({ step, key: keys.next().value as number }))
          .toSorted((a, b) => a.key - b.key)
          .map(({ step }) => step);
        const one = advance(emptyBasis(TOPICS), order);
        const other = shuffled.reduce((sofar, step) => advance(sofar, [step]), emptyBasis(TOPICS.toReversed()));
        expect(basisDigest(other)).toBe(basisDigest(one));
      }),
    );
    fc.assert(
      fc.property(basis, basis, (a, b) => {
        expect(basisDigest(a) === basisDigest(b)).toBe(compareBases(a, b) === 'EQUAL');
      }),
    );
  });

  it('takes a partition at 0 for one that is not named', () => {
    const named = advance(emptyBasis([TRAFFIC]), [at(TRAFFIC, 7, 0)]);
    expect(basisDigest(named)).toBe(basisDigest(emptyBasis([TRAFFIC])));
  });

  it('tells "nothing of the control topic yet" from "no control topic"', () => {
    expect(basisDigest(emptyBasis([TRAFFIC]))).not.toBe(basisDigest(emptyBasis(TOPICS)));
  });

  it('of the record is checked when it is read', () => {
    fc.assert(fc.property(basis, (a) => expect(asBasis(JSON.parse(JSON.stringify(basisRecord(a))))).toEqual(a)));
    const record = basisRecord(advance(emptyBasis([TRAFFIC]), [at(TRAFFIC, 0, 5)]));
    expect(() => asBasis({ ...record, topics: { [TRAFFIC]: { 0: 6 } } })).toThrow('VALUE_INVALID');
  });

  it.each([
    { topics: {}, basis_digest: 'a'.repeat(64) },
    { topics: { [TRAFFIC]: { '01': 5 } }, basis_digest: 'a'.repeat(64) },
    { topics: { [TRAFFIC]: { 0: -1 } }, basis_digest: 'a'.repeat(64) },
    { topics: { [TRAFFIC]: { 0: '5' } }, basis_digest: 'a'.repeat(64) },
    { topics: { '../x': {} }, basis_digest: 'a'.repeat(64) },
    { topics: { [TRAFFIC]: {} } },
  ])('is not read from %j', (value) => {
    expect(() => asBasis(value)).toThrow('VALUE_INVALID');
  });
});

describe('progress', () => {
  it('never goes back', () => {
    fc.assert(
      fc.property(basis, progress, (a, step) => {
        const standing = nextOffset(a, step.topic, step.partition);
        if (step.nextOffset < standing) {
          expect(() => advance(a, [step])).toThrow('BASIS_REGRESSED');
          return;
        }
        const later = advance(a, [step]);
        expect(nextOffset(later, step.topic, step.partition)).toBe(step.nextOffset);
        expect(compareBases(a, later)).toBe(step.nextOffset === standing ? 'EQUAL' : 'BEFORE');
      }),
    );
  });

  it('is refused as a whole when one step of it goes back, also behind a step of its own', () => {
    const start = advance(emptyBasis([TRAFFIC]), [at(TRAFFIC, 0, 5)]);
    expect(() => advance(start, [at(TRAFFIC, 1, 9), at(TRAFFIC, 0, 4)])).toThrow('BASIS_REGRESSED');
    expect(() => advance(start, [at(TRAFFIC, 1, 9), at(TRAFFIC, 1, 8)])).toThrow('BASIS_REGRESSED');
    expect(nextOffset(start, TRAFFIC, 1)).toBe(0);
  });

  it('leaves what it started from as it was', () => {
    const start = emptyBasis([TRAFFIC]);
    advance(start, [at(TRAFFIC, 0, 5)]);
    expect(start).toEqual(emptyBasis([TRAFFIC]));
    expect(() => Object.assign(start.topics, { x: {} })).toThrow(TypeError);
  });

  it('has partitions that exist', () => {
    expect(() => advance(emptyBasis([TRAFFIC]), [at(TRAFFIC, -1, 5)])).toThrow('VALUE_INVALID');
    expect(() => advance(emptyBasis([TRAFFIC]), [at(TRAFFIC, 0.5, 5)])).toThrow('VALUE_INVALID');
    expect(() => emptyBasis([])).toThrow('VALUE_INVALID');
  });
});

describe('what a basis covers', () => {
  it('is every record below the next offset, and not the next one', () => {
    const start = advance(emptyBasis([TRAFFIC]), [at(TRAFFIC, 0, 5)]);
    const record = (offset: number) => asEbRef({ topic: TRAFFIC, partition: 0, offset });
    expect(covers(start, record(4))).toBe(true);
    expect(covers(start, record(5))).toBe(false);
    expect(covers(start, asEbRef({ topic: TRAFFIC, partition: 1, offset: 0 }))).toBe(false);
  });

  it('grows with it', () => {
    fc.assert(
      fc.property(basis, basis, progress, (a, b, { topic, partition, nextOffset: offset }) => {
        const record = asEbRef({ topic, partition, offset });
        expect(covers(joinBases(a, b), record)).toBe(covers(a, record) || covers(b, record));
        expect(covers(meetBases(a, b), record)).toBe(covers(a, record) && covers(b, record));
      }),
    );
  });
});

describe('bases of different topics', () => {
  const traffic = advance(emptyBasis([TRAFFIC]), [at(TRAFFIC, 0, 5)]);
  const both = advance(emptyBasis(TOPICS), [at(TRAFFIC, 0, 5), at(CONTROL, 0, 2)]);

  it('are never joined, compared or asked about the other', () => {
    expect(() => joinBases(traffic, both)).toThrow('BASIS_INCOMPARABLE');
    expect(() => meetBases(traffic, emptyBasis([CONTROL]))).toThrow('BASIS_INCOMPARABLE');
    expect(() => compareBases(both, traffic)).toThrow('BASIS_INCOMPARABLE');
    expect(() => covers(traffic, asEbRef({ topic: CONTROL, partition: 0, offset: 0 }))).toThrow('BASIS_INCOMPARABLE');
    expect(() => advance(traffic, [at(CONTROL, 0, 1)])).toThrow('BASIS_INCOMPARABLE');
    expect(() => nextOffset(traffic, 'constructor', 0)).toThrow('BASIS_INCOMPARABLE');
  });

  it('are compared in the part that they share', () => {
    expect(topicsOf(restrictBasis(both, [TRAFFIC]))).toEqual([TRAFFIC]);
    expect(compareBases(restrictBasis(both, [TRAFFIC]), traffic)).toBe('EQUAL');
    expect(() => restrictBasis(traffic, [CONTROL])).toThrow('BASIS_INCOMPARABLE');
  });
});
