import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type Answer, endOf, failed, foundOf, nextOf, type RetryProfile, type Standing } from './attempt.core.js';

const NOW = 1_700_000_000_000;
const answers: fc.Arbitrary<Answer> = fc.oneof(
  fc.record({
    kind: fc.constant('answered' as const),
    status: fc.integer({ min: 100, max: 599 }),
    retryAfter: fc.option(fc.oneof(fc.nat(100).map(String), fc.constant('soon')), { nil: undefined }),
  }),
  fc.record({ kind: fc.constant('failed' as const), sent: fc.boolean() }),
  fc.constant({ kind: 'refused' as const }),
);
const profiles: fc.Arbitrary<RetryProfile> = fc.record({
  attempts_max: fc.integer({ min: 1, max: 50 }),
  first_wait_ms: fc.integer({ min: 1, max: 10_000 }),
  wait_max_ms: fc.integer({ min: 1, max: 100_000 }),
});
const standings: fc.Arbitrary<Standing> = fc.record({
  attemptNo: fc.integer({ min: 1, max: 60 }),
  ambiguous: fc.boolean(),
  canAsk: fc.boolean(),
  giveUpAtMs: fc.integer({ min: NOW - 1_000, max: NOW + 200_000 }),
});
const luck = fc.double({ min: 0, max: 0.999_999, noNaN: true });

describe('what follows from an attempt', () => {
  it('is done when the target said so, and never otherwise', () => {
    fc.assert(
      fc.property(answers, standings, profiles, luck, (answer, standing, retry, random) => {
        const { kind } = nextOf(endOf(answer, NOW), standing, retry, NOW, random);
        const said = answer.kind === 'answered' && answer.status >= 200 && answer.status < 300;
        expect(kind === 'executed').toBe(said);
      }),
    );
  });

  it('keeps to the bounds: a wait no longer than the longest, an end before the time is over, and no attempt too many', () => {
    fc.assert(
      fc.property(answers, standings, profiles, luck, (answer, standing, retry, random) => {
        const next = nextOf(endOf(answer, NOW), standing, retry, NOW, random);
        if (next.kind !== 'again') return;
        expect(next.dueAtMs - NOW).toBeGreaterThanOrEqual(0);
        expect(next.dueAtMs - NOW).toBeLessThanOrEqual(retry.wait_max_ms);
        expect(next.dueAtMs).toBeLessThan(standing.giveUpAtMs);
        // Past the last one there is nothing but a question, and that only of what is in doubt.
        const limit = standing.canAsk && next.ambiguous ? retry.attempts_max : retry.attempts_max - 1;
        expect(standing.attemptNo).toBeLessThanOrEqual(limit);
      }),
    );
  });

  it('stays in doubt once it was: what may have been done is neither told as surely failed nor safe to ask anew', () => {
    fc.assert(
      fc.property(answers, standings, profiles, luck, (answer, standing, retry, random) => {
        const end = endOf(answer, NOW);
        const next = nextOf(end, standing, retry, NOW, random);
        const unsure = standing.ambiguous || end.step === 'UNKNOWN';
        if (next.kind === 'again') expect(next.ambiguous).toBe(unsure);
        if (next.kind === 'failed') {
          expect(next.reasons.includes('UNCERTAIN_COMMIT')).toBe(unsure);
          expect(next.retryable && unsure).toBe(false);
          expect(next.reasons.length).toBeGreaterThan(0);
        }
      }),
    );
  });

  it('waits longer after each attempt, up to the bound, and as long as it was told to', () => {
    const retry = { attempts_max: 10, first_wait_ms: 100, wait_max_ms: 1_000 };
    const standing = { ambiguous: false, canAsk: false, giveUpAtMs: NOW + 1e9 };
    const wait = (attemptNo: number, random: number, answer: Answer = { kind: 'failed', sent: false }): number => {
      const next = nextOf(endOf(answer, NOW), { ...standing, attemptNo }, retry, NOW, random);
      return next.kind === 'again' ? next.dueAtMs - NOW : -1;
    };
    expect([1, 2, 3, 4, 5, 9].map((attempt) => wait(attempt, 0.999_999))).toEqual([100, 200, 400, 800, 1_000, 1_000]);
    expect([1, 5].map((attempt) => wait(attempt, 0))).toEqual([0, 0]);
    const busy = (retryAfter: string): Answer => ({ kind: 'answered', status: 429, retryAfter });
    expect(wait(1, 0, busy('1'))).toBe(1_000);
    expect(wait(1, 0, busy('3600'))).toBe(1_000);
    expect(wait(1, 0, busy(new Date(NOW + 600).toUTCString()))).toBeLessThanOrEqual(600);
    expect(wait(10, 0)).toBe(-1);
  });

  it('given up, is safe to ask anew only where it surely did nothing and another attempt could help', () => {
    expect(failed(['DEPENDENCY_DOWN'], false)).toMatchObject({ reasons: ['DEPENDENCY_DOWN'], retryable: true });
    expect(failed(['DEPENDENCY_DOWN'], true)).toMatchObject({ retryable: false });
    expect(failed(['INVALID_PARAMS'], false)).toMatchObject({ retryable: false });
    expect(failed(['UNCERTAIN_COMMIT'], true)).toMatchObject({ reasons: ['UNCERTAIN_COMMIT'] });
  });
});

describe('an answer to a question', () => {
  it.each<[Answer, string]>([
    [{ kind: 'answered', status: 200 }, 'done'],
    [{ kind: 'answered', status: 404 }, 'absent'],
    [{ kind: 'answered', status: 202 }, 'unknown'],
    [{ kind: 'answered', status: 500 }, 'unknown'],
    [{ kind: 'answered', status: 302 }, 'unknown'],
    [{ kind: 'failed', sent: false }, 'unknown'],
    [{ kind: 'refused' }, 'unknown'],
  ])('%p: %s', (answer, found) => {
    expect(foundOf(answer)).toBe(found);
  });
});
