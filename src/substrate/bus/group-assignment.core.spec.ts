import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { assignPartitions, type AssignablePlace, type GroupMember } from './group-assignment.core.js';

const topics = ['a', 'b', 'c'];
const placesOf = (counts: readonly number[]): AssignablePlace[] =>
  counts.flatMap((count, index) =>
    Array.from({ length: count }, (_, partition) => ({
      place: `${topics[index] ?? ''}/${partition}`,
      topic: topics[index] ?? '',
    })),
  );
const partitionCounts = fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 3, maxLength: 3 });
const memberIds = fc.uniqueArray(fc.integer({ min: 1, max: 50 }), { maxLength: 9 });
const everyTopic = (ids: readonly number[]): GroupMember[] => ids.map((member) => ({ member, topics }));

function loads(assignment: ReadonlyMap<string, number>, ids: readonly number[]): number[] {
  return ids.map((id) => [...assignment.values()].filter((member) => member === id).length);
}

describe('assignPartitions', () => {
  it('gives every partition to exactly one member that consumes its topic, and nothing else', () => {
    const member = fc.record({ member: fc.integer({ min: 1, max: 50 }), topics: fc.subarray(topics) });
    fc.assert(
      fc.property(
        fc.uniqueArray(member, { selector: (one) => one.member, maxLength: 9 }),
        partitionCounts,
        fc.array(fc.tuple(fc.constantFrom(...placesOf([12, 12, 12]).map(({ place }) => place)), fc.nat(50))),
        (members, counts, before) => {
          const places = placesOf(counts);
          const assignment = assignPartitions(members, places, new Map(before));
          for (const { place, topic } of places) {
            const eligible = members.filter((one) => one.topics.includes(topic)).map((one) => one.member);
            const owner = assignment.get(place);
            if (eligible.length === 0) expect(owner).toBeUndefined();
            else expect(eligible).toContain(owner);
          }
          const known = new Set(places.map(({ place }) => place));
          for (const place of assignment.keys()) expect(known.has(place)).toBe(true);
        },
      ),
    );
  });

  it('shares evenly: no member has more than one partition above another', () => {
    fc.assert(
      fc.property(memberIds, partitionCounts, memberIds, (ids, counts, earlier) => {
        fc.pre(ids.length > 0);
        const places = placesOf(counts);
        const before = assignPartitions(everyTopic(earlier), places, new Map());
        const shares = loads(assignPartitions(everyTopic(ids), places, before), ids);
        expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1);
      }),
    );
  });

  it('moves no more partitions than evenness demands', () => {
    fc.assert(
      fc.property(memberIds, memberIds, partitionCounts, (earlier, ids, counts) => {
        fc.pre(ids.length > 0);
        const places = placesOf(counts);
        const before = assignPartitions(everyTopic(earlier), places, new Map());
        const after = assignPartitions(everyTopic(ids), places, before);
        const stayed = places.filter(({ place }) => before.get(place) === after.get(place)).length;
        // The most that can stay: each survivor keeps up to its share, and the larger shares go to the fullest members.
        const [base, extra] = [Math.floor(places.length / ids.length), places.length % ids.length];
        const best = loads(before, ids)
          .sort((one, two) => two - one)
          .reduce((sum, load, rank) => sum + Math.min(load, rank < extra ? base + 1 : base), 0);
        expect(stayed).toBe(best);
      }),
    );
  });

  it('does not depend on the order in which members and partitions are listed', () => {
    fc.assert(
      fc.property(memberIds, partitionCounts, memberIds, (ids, counts, earlier) => {
        const places = placesOf(counts);
        const before = assignPartitions(everyTopic(earlier), places, new Map());
        const one = assignPartitions(everyTopic(ids), places, before);
        const two = assignPartitions(everyTopic([...ids].reverse()), [...places].reverse(), before);
        expect(new Map([...two].sort())).toEqual(new Map([...one].sort()));
      }),
    );
  });

  it('changes nothing when nothing changed', () => {
    fc.assert(
      fc.property(memberIds, partitionCounts, (ids, counts) => {
        const places = placesOf(counts);
        const before = assignPartitions(everyTopic(ids), places, new Map());
        expect(assignPartitions(everyTopic(ids), places, before)).toEqual(before);
      }),
    );
  });
});
