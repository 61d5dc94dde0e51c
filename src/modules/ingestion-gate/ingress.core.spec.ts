import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ingressState, RateLimiter } from './ingress.core.js';

describe('the door', () => {
  const limits = { throttle_bytes: 100, pause_bytes: 200 };

  it.each([
    [0, 'OPEN'],
    [99, 'OPEN'],
    [100, 'THROTTLE'],
    [199, 'THROTTLE'],
    [200, 'PAUSE'],
  ])('with %i bytes waiting is %s', (waiting, state) => {
    const found = ingressState(waiting, limits);
    expect(found.state).toBe(state);
    expect(found.retryAfterMs > 0).toBe(state !== 'OPEN');
  });

  it('lets no caller pass more than its rate and one second besides, in the long run', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1_000 }),
        fc.array(fc.record({ waitMs: fc.nat(500), count: fc.integer({ min: 1, max: 300 }) }), { maxLength: 200 }),
        (rate, calls) => {
          const limiter = new RateLimiter();
          let [nowMs, passed, largest] = [0, 0, 0];
          for (const { waitMs, count } of calls) {
            nowMs += waitMs;
            if (limiter.take('a', count, rate, nowMs) > 0) continue;
            passed += count;
            largest = Math.max(largest, count);
          }
          expect(passed).toBeLessThanOrEqual(rate + (rate * nowMs) / 1_000 + largest);
        },
      ),
    );
  });

  it('passes whoever has waited as long as it was told, and counts callers apart', () => {
    const limiter = new RateLimiter();
    expect(limiter.take('a', 25, 10, 0)).toBe(0);
    const waitMs = limiter.take('a', 1, 10, 0);
    expect(waitMs).toBe(1_500);
    expect(limiter.take('b', 1, 10, 0)).toBe(0);
    expect(limiter.take('a', 1, 10, waitMs)).toBeGreaterThan(0);
    expect(limiter.take('a', 1, 10, waitMs + 1)).toBe(0);
  });
});
