import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { after, type Breaker, type BreakerSettings, CLOSED, permits } from './breaker.core.js';

const settings: fc.Arbitrary<BreakerSettings> = fc.record({
  window: fc.integer({ min: 2, max: 20 }),
  failures_pct: fc.integer({ min: 1, max: 100 }),
  open_ms: fc.integer({ min: 1, max: 1_000 }),
});
const rounds = fc.array(fc.record({ waitMs: fc.nat(500), answers: fc.array(fc.boolean(), { maxLength: 8 }) }), {
  maxLength: 40,
});

/** Plays rounds, each with as many answers as were permitted, and shows each step. */
function play(
  played: readonly { readonly waitMs: number; readonly answers: readonly boolean[] }[],
  set: BreakerSettings,
  see: (before: Breaker, count: number, answers: readonly boolean[], next: Breaker, nowMs: number) => void,
): void {
  let breaker: Breaker = CLOSED;
  let nowMs = 0;
  for (const { waitMs, answers } of played) {
    nowMs += waitMs;
    const permitted = permits(breaker, 8, nowMs);
    const given = answers.slice(0, permitted.count);
    const next = permitted.count === 0 ? permitted.breaker : after(permitted.breaker, given, set, nowMs);
    see(breaker, permitted.count, given, next, nowMs);
    breaker = next;
  }
}

describe('a circuit breaker', () => {
  it('lets everything pass while it is closed, nothing while it is open, and one when its time is over', () => {
    fc.assert(
      fc.property(rounds, settings, (played, set) => {
        play(played, set, (before, count, _, __, nowMs) => {
          if (before.state === 'CLOSED') expect(count).toBe(8);
          else if (before.state === 'OPEN') expect(count).toBe(nowMs >= before.untilMs ? 1 : 0);
        });
      }),
    );
  });

  it('opens by what the last answers were and by nothing else', () => {
    fc.assert(
      fc.property(rounds, settings, (played, set) => {
        let seen: boolean[] = [];
        play(played, set, (before, count, answers, next, nowMs) => {
          if (before.state !== 'CLOSED') {
            if (next.state === 'CLOSED') {
              expect([count, answers]).toEqual([1, [true]]);
              seen = [];
            }
            return;
          }
          seen = [...seen, ...answers].slice(-set.window);
          const bad = seen.filter((good) => !good).length;
          const opens = answers.length > 0 && seen.length === set.window && bad / set.window >= set.failures_pct / 100;
          expect(next.state).toBe(opens ? 'OPEN' : 'CLOSED');
          if (next.state === 'OPEN') expect(next.untilMs).toBe(nowMs + set.open_ms);
        });
      }),
    );
  });

  it('never hangs: once its time is over an attempt is permitted, whatever became of the last one', () => {
    const set = { window: 2, failures_pct: 50, open_ms: 100 };
    const open = after(CLOSED, [false, false], set, 0);
    expect(open).toEqual({ state: 'OPEN', untilMs: 100 });
    const trial = permits(open, 8, 100);
    expect(trial).toEqual({ breaker: { state: 'HALF_OPEN' }, count: 1 });
    // Nothing was due: nobody has learned anything, and the next round may try.
    expect(permits(after(trial.breaker, [], set, 150), 8, 150).count).toBe(1);
    expect(after(trial.breaker, [false], set, 150)).toEqual({ state: 'OPEN', untilMs: 250 });
    expect(after(trial.breaker, [true], set, 150)).toEqual(CLOSED);
  });
});
