import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { asOffset, asTopicName } from '../../../rails/eb-ref.js';
import { Growth } from './growth.js';
import type { Fetched } from './log.js';

const TOPIC = asTopicName('fp.bus.test.v1');

describe('whether a partition may have grown', () => {
  it('is so until a look finds its end, and again when somebody is told', () => {
    const growth = new Growth();
    expect(growth.due).toBe(true);
    growth.look().found(answer(5, 5, false), 5);
    expect(growth.due).toBe(false);
    growth.rung([]);
    expect(growth.due).toBe(true);
    growth.look().found(answer(5, 7, true), 7);
    expect(growth.due).toBe(false);
    growth.rung(undefined);
    growth.look().found(answer(7, 9, true), 9);
    // What is at hand says nothing of others.
    expect(growth.due).toBe(true);
    growth.look().found(answer(9, 9, false), 9);
    expect(growth.due).toBe(false);
    growth.look().failed();
    expect(growth.due).toBe(true);
    // The database knew of more than it gave: what is at hand behind that is not the end for certain.
    growth.look().found(answer(9, 20, false), 12);
    growth.look().found(answer(12, 15, true), 15);
    expect(growth.due).toBe(true);
    growth.look().found(answer(15, 20, false), 20);
    expect(growth.due).toBe(false);
  });

  it('never lets a reader rest before the end of the log, whoever appends, whatever is at hand and in whatever order it is told', () => {
    const step = fc.record({
      by: fc.constantFrom('us', 'others'),
      count: fc.integer({ min: 1, max: 3 }),
      reads: fc.nat(2),
    });
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 1, maxLength: 30 }),
        fc.nat(9),
        fc.integer({ min: 1, max: 4 }),
        (steps, start, most) => {
          const growth = new Growth();
          // [from, end): what this process has at hand; `log` is where the log ends.
          let [log, handFrom, handEnd, position] = [start, 0, 0, 0];
          const read = (): void => {
            const look = growth.look();
            const atHand = position >= handFrom && position < handEnd;
            const end = atHand ? handEnd : log;
            const fetched = answer(position, end, atHand);
            // A look finds no more than it may.
            position = Math.min(end, position + most);
            look.found(fetched, position);
          };
          for (const { by, count, reads } of steps) {
            if (by === 'us') {
              if (handEnd !== log) handFrom = log;
              log += count;
              handEnd = log;
              growth.rung([]);
            } else {
              log += count;
              growth.rung(undefined);
            }
            for (let n = 0; n < reads && growth.due; n += 1) read();
          }
          for (let n = 0; growth.due; n += 1) {
            if (n > 200) throw new Error('it reads for ever');
            read();
          }
          expect(position).toBe(log);
        },
      ),
      { numRuns: 500 },
    );
  });
});

function answer(offset: number, highWater: number, atHand: boolean): Fetched {
  const marks = { lowWater: asOffset(0), highWater: asOffset(highWater) };
  return { topic: TOPIC, partition: 0, offset: asOffset(offset), marks, batch: undefined, atHand };
}
