import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { asTopicName, type Offset } from '../../../rails/eb-ref.js';
import type { Reader } from '../../../substrate/bus/consumption.port.js';
import { lagsOf, limitsOf, running } from './readers.js';
import { cutOf, headroomOf, type Limit } from './retention.core.js';

const offset = (value: number): Offset => value as Offset;
const TOPIC = asTopicName('payments.v1');

const marks = fc
  .tuple(fc.nat(1_000), fc.nat(1_000))
  .map(([low, length]) => ({ lowWater: offset(low), highWater: offset(low + length) }));
const limit = fc.record({
  by: fc.constantFrom('archive', 'ofp', 'df', 'dataset'),
  offset: fc.option(fc.nat(2_500).map(offset), { nil: null }),
});
const limits = fc.array(limit, { maxLength: 6 });
const aged = fc.nat(2_500).map(offset);

describe('what may go of a partition', () => {
  it('lies never above anybody who needs it, nor above what is young, and never outside the log', () => {
    fc.assert(
      fc.property(marks, aged, limits, (mark, young, all) => {
        const { to } = cutOf(mark, young, all);
        expect(to).toBeGreaterThanOrEqual(mark.lowWater);
        expect(to).toBeLessThanOrEqual(mark.highWater);
        // Below the oldest record nothing is left that could go.
        for (const { offset: needed } of all)
          expect(to).toBeLessThanOrEqual(Math.max(mark.lowWater, needed ?? mark.lowWater));
        expect(to).toBeLessThanOrEqual(Math.max(mark.lowWater, young));
      }),
    );
  });

  it('is the least of them, to the offset', () => {
    fc.assert(
      fc.property(marks, aged, limits, (mark, young, all) => {
        const least = Math.min(young, mark.highWater, ...all.map(({ offset: needed }) => needed ?? 0));
        expect(cutOf(mark, young, all).to).toBe(Math.max(mark.lowWater, least));
      }),
    );
  });

  it('is less with one more who needs something, and more once anybody has gone on', () => {
    fc.assert(
      fc.property(marks, aged, limits, limit, fc.nat(500), (mark, young, all, another, step) => {
        const before = cutOf(mark, young, all).to;
        expect(cutOf(mark, young, [...all, another]).to).toBeLessThanOrEqual(before);
        const further = all.map((one) => (one.offset === null ? one : { ...one, offset: offset(one.offset + step) }));
        expect(cutOf(mark, offset(young + step), further).to).toBeGreaterThanOrEqual(before);
      }),
    );
  });

  it('names exactly those who keep what is old enough, who keeps most first', () => {
    fc.assert(
      fc.property(marks, aged, limits, (mark, young, all) => {
        const { heldBy, to, aged: cut } = cutOf(mark, young, all);
        expect(heldBy.length === 0).toBe(to === cut);
        const needs = ({ offset: needed }: Limit): number => Math.max(mark.lowWater, needed ?? 0);
        expect(heldBy.every((one) => needs(one) < cut)).toBe(true);
        expect(all.filter((one) => needs(one) < cut)).toHaveLength(heldBy.length);
        expect(heldBy.slice(1).every((one, at) => needs(one) >= needs(heldBy[at] as Limit))).toBe(true);
        if (heldBy[0] !== undefined) expect(needs(heldBy[0])).toBe(to);
      }),
    );
  });

  it('who is not known keeps everything, and leaves no headroom', () => {
    const mark = { lowWater: offset(10), highWater: offset(90) };
    expect(cutOf(mark, offset(50), [{ by: 'ofp', offset: null }])).toMatchObject({ to: 10, aged: 50 });
    expect(headroomOf(mark, [{ by: 'ofp', offset: null }])).toBe(0);
    expect(
      headroomOf(mark, [
        { by: 'ofp', offset: offset(40) },
        { by: 'df', offset: offset(60) },
      ]),
    ).toBe(30);
    expect(headroomOf(mark, [])).toBe(80);
  });
});

describe('what readers need', () => {
  const at = { topic: TOPIC, partition: 0 };
  const reader = (role: string, next: number | null, more: Partial<Reader> = {}): Reader => ({
    role,
    topics: [TOPIC],
    answer: {
      positions: [{ ...at, next_offset: next === null ? null : offset(next), restart_offset: null }],
      holds: [],
    },
    ...more,
  });
  const away: Reader = { role: 'ieg', topics: [], answer: null, fault: 'RPC_UNAVAILABLE: gone' };

  it('is where each stands, and everything of who could not be asked, or has begun with nothing', () => {
    expect(limitsOf([reader('ofp', 7), reader('df', null), away], at)).toEqual([
      { by: 'ofp', offset: 7 },
      { by: 'df', offset: null },
      { by: 'ieg (RPC_UNAVAILABLE: gone)', offset: null },
    ]);
    const holding = {
      ...reader('ofs', 3, { topics: [] }),
      answer: { positions: [], holds: [{ ...at, offset: offset(2), why: 'a build' }] },
    };
    expect(limitsOf([holding], at)).toEqual([{ by: 'a build', offset: 2 }]);
    // What a start would read stays, also where nothing of it is work.
    const noted = { positions: [{ ...at, next_offset: offset(7), restart_offset: offset(5) }], holds: [] };
    expect(limitsOf([{ ...reader('df', 7), answer: noted }], at)).toEqual([{ by: 'df', offset: 5 }]);
    expect(limitsOf([reader('ofp', 7)], { topic: asTopicName('other.v1'), partition: 0 })).toEqual([]);
    expect(running([reader('ofp', 7), away], ['ieg']).map(({ role }) => role)).toEqual(['ofp']);
  });

  it('a drain waits for whoever is behind, the furthest first; who has nothing yet counts from the oldest record', () => {
    const target = [{ ...at, offset: offset(10), lowWater: offset(4) }];
    const lags = lagsOf([reader('ofp', 9), reader('df', 10), reader('al', 12), reader('dla', null), away], target);
    expect(lags.map(({ role, at: place }) => [role, place])).toEqual([
      ['dla', null],
      ['ofp', 9],
    ]);
    expect(lagsOf([reader('dla', null)], [{ ...at, offset: offset(4), lowWater: offset(4) }])).toEqual([]);
    const unknown = lagsOf([{ ...away, topics: [TOPIC] }], target);
    expect(unknown).toMatchObject([{ role: 'ieg', at: null, fault: 'RPC_UNAVAILABLE: gone' }]);
  });
});
