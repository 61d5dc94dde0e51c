import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Clock } from '../../src/substrate/clock/clock.port.js';
import { deadline, endsWith } from '../../src/substrate/clock/deadline.js';

export interface ClockHarness {
  readonly clock: Clock;
  /** Lets that much time go by, really or by hand. */
  readonly elapse: (durationMs: number) => Promise<void>;
}

/** Everything that stamps or waits relies on this, whichever clock it was given. */
export function clockContract(name: string, open: () => ClockHarness): void {
  describe(`clock contract: ${name}`, () => {
    let clock: Clock;
    let elapse: ClockHarness['elapse'];

    beforeEach(() => {
      ({ clock, elapse } = open());
    });

    const controllers: AbortController[] = [];
    const aborter = () => {
      const controller = new AbortController();
      controllers.push(controller);
      return controller;
    };
    // Sleeps that a case leaves behind would hold a real timer, and the test process, open.
    afterEach(() => controllers.splice(0).forEach((controller) => controller.abort()));

    const settled = (work: Promise<unknown>) => {
      const state = { done: false };
      void work.finally(() => (state.done = true));
      return state;
    };

    it('tells the time of day in milliseconds since the epoch', () => {
      expect(clock.nowMs()).toBeGreaterThan(Date.parse('2025-01-01T00:00:00Z'));
      expect(clock.nowMs()).toBeLessThan(Date.parse('2100-01-01T00:00:00Z'));
    });

    it('has a monotonic time that moves on with the time that goes by', async () => {
      const before = clock.monotonicMs();
      await elapse(20);
      const after = clock.monotonicMs();
      expect(after - before).toBeGreaterThanOrEqual(19);
      expect(clock.monotonicMs()).toBeGreaterThanOrEqual(after);
    });

    it('never wakes a sleeper early', async () => {
      const earlyMs: number[] = [];
      const sleeps = Array.from({ length: 200 }, async (_, n) => {
        const durationMs = 1 + n * 0.137;
        const before = clock.monotonicMs();
        await clock.sleep(durationMs);
        const sleptMs = clock.monotonicMs() - before;
        // A millionth of a millisecond is the rounding of the sum, not of the timer.
        if (sleptMs < durationMs - 1e-6) earlyMs.push(durationMs - sleptMs);
      });
      await elapse(60);
      await Promise.all(sleeps);
      expect(earlyMs).toEqual([]);
    });

    it('wakes sleepers in the order in which they are due', async () => {
      const order: string[] = [];
      const sleeps = [
        clock.sleep(30).then(() => order.push('third')),
        clock.sleep(1).then(() => order.push('first')),
        clock.sleep(15).then(() => order.push('second')),
      ];
      await elapse(60);
      await Promise.all(sleeps);
      expect(order).toEqual(['first', 'second', 'third']);
    });

    it.each([0, -5])('returns at once from a sleep of %d ms', async (durationMs) => {
      await expect(clock.sleep(durationMs)).resolves.toBeUndefined();
    });

    it('ends a sleep at once when its signal aborts, without rejecting', async () => {
      const controller = aborter();
      const sleep = clock.sleep(3_600_000, controller.signal);
      controller.abort(new Error('enough'));
      await expect(sleep).resolves.toBeUndefined();
    });

    it('does not sleep at all under a signal that has aborted', async () => {
      await expect(clock.sleep(3_600_000, AbortSignal.abort())).resolves.toBeUndefined();
    });

    it.each([2 ** 31, Infinity])('sleeps on for a duration beyond 32-bit timers: %d ms', async (durationMs) => {
      const controller = aborter();
      const state = settled(clock.sleep(durationMs, controller.signal));
      await elapse(30);
      expect(state.done).toBe(false);
    });

    it('leaves no listener on a signal after the sleep', async () => {
      const controller = aborter();
      let listeners = 0;
      const { signal } = controller;
      const add = signal.addEventListener.bind(signal);
      const remove = signal.removeEventListener.bind(signal);
      signal.addEventListener = (...args: Parameters<typeof add>) => {
        listeners += 1;
        add(...args);
      };
      signal.removeEventListener = (...args: Parameters<typeof remove>) => {
        listeners -= 1;
        remove(...args);
      };
      const sleep = clock.sleep(5, signal);
      await elapse(20);
      await sleep;
      expect(listeners).toBe(0);
    });

    it('ends a deadline at its moment, and says so', async () => {
      const { signal } = deadline(clock, clock.monotonicMs() + 20);
      expect(signal.aborted).toBe(false);
      const work = endsWith(signal, new Promise(() => undefined));
      const outcome = expect(work).rejects.toMatchObject({ code: 'RPC_DEADLINE_EXCEEDED' });
      await elapse(60);
      await outcome;
      expect(signal.aborted).toBe(true);
    });

    it('ends a deadline that lies in the past before any work begins', () => {
      const { signal } = deadline(clock, clock.monotonicMs() - 1);
      expect(signal.reason).toMatchObject({ code: 'RPC_DEADLINE_EXCEEDED' });
    });

    it('ends a deadline with its parent, as given up', async () => {
      const controller = aborter();
      const { signal } = deadline(clock, clock.monotonicMs() + 3_600_000, controller.signal);
      controller.abort();
      await expect(endsWith(signal, new Promise(() => undefined))).rejects.toMatchObject({ code: 'RPC_CANCELLED' });
    });

    it('never ends a deadline that was disposed of', async () => {
      const controller = aborter();
      const { signal, dispose } = deadline(clock, clock.monotonicMs() + 10, controller.signal);
      dispose();
      await elapse(40);
      controller.abort();
      expect(signal.aborted).toBe(false);
    });
  });
}
