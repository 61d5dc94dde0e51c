import { describe, expect, it } from '@jest/globals';
import { ManualClock } from './manual.clock.js';
import { Rounds } from './rounds.js';

describe('rounds', () => {
  function working(answers: (number | Error)[]) {
    const clock = new ManualClock();
    const seen = { rounds: 0, failures: [] as unknown[] };
    const rounds = new Rounds({
      clock,
      everyMs: 1_000,
      onFailure: (error) => seen.failures.push(error),
      round: () => {
        seen.rounds += 1;
        const answer = answers.shift() ?? 0;
        return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
      },
    });
    return { clock, seen, rounds };
  }

  it('follow each other while there is something to do, and wait then', async () => {
    const { clock, seen, rounds } = working([3, 1]);
    rounds.start();
    await clock.advance(0);
    expect(seen.rounds).toBe(3);
    await clock.advance(999);
    expect(seen.rounds).toBe(3);
    await clock.advance(1);
    expect(seen.rounds).toBe(4);
    await rounds.stop();
  });

  it('wait after a failure, too, and go on', async () => {
    const failure = new Error('not now');
    const { clock, seen, rounds } = working([failure, 1]);
    rounds.start();
    await clock.advance(0);
    expect([seen.rounds, seen.failures]).toEqual([1, [failure]]);
    await clock.advance(1_000);
    expect(seen.rounds).toBe(3);
    await rounds.stop();
  });

  it('begin at once when somebody wakes them, and never again once they are stopped', async () => {
    const { clock, seen, rounds } = working([]);
    rounds.start();
    await clock.advance(0);
    rounds.wake();
    await clock.advance(0);
    expect(seen.rounds).toBe(2);
    await rounds.stop();
    rounds.wake();
    await clock.advance(10_000);
    expect(seen.rounds).toBe(2);
  });
});
