import { describe, expect, it, jest } from '@jest/globals';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { clockContract } from './clock.contract.js';

clockContract('system', () => {
  const clock = new SystemClock();
  return {
    clock,
    // The one place that waits for real time: it is what this adapter has to show.
    elapse: (durationMs) => new Promise((resolve) => setTimeout(resolve, durationMs)),
  };
});

clockContract('manual', () => {
  const clock = new ManualClock();
  return { clock, elapse: (durationMs) => clock.advance(durationMs) };
});

describe('system clock', () => {
  it('gives no delay to a timer that its 32 bits cannot hold', () => {
    const timers = jest.spyOn(globalThis, 'setTimeout');
    const controller = new AbortController();
    void new SystemClock().sleep(2 ** 40, controller.signal);
    void new SystemClock().sleep(Infinity, controller.signal);
    const delays = timers.mock.calls.map(([, delayMs]) => delayMs);
    controller.abort();
    timers.mockRestore();
    expect(delays).toEqual([2 ** 31 - 1, 2 ** 31 - 1]);
  });
});

describe('manual clock', () => {
  it('stands still until it is moved', async () => {
    const clock = new ManualClock(5_000);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(clock.nowMs()).toBe(5_000);
  });

  it('lets a sleeper sleep again within one advance, each time at its own moment', async () => {
    const clock = new ManualClock(0);
    const woke: number[] = [];
    const loop = async () => {
      for (let round = 0; round < 3; round++) {
        await clock.sleep(10);
        woke.push(clock.nowMs());
      }
    };
    const done = loop();
    await clock.advance(35);
    await done;
    expect(woke).toEqual([10, 20, 30]);
    expect(clock.nowMs()).toBe(35);
    expect(clock.sleeping).toBe(0);
  });

  it('steps the wall clock without disturbing the monotonic one', () => {
    const clock = new ManualClock(10_000);
    const before = clock.monotonicMs();
    clock.stepWall(-4_000);
    expect([clock.nowMs(), clock.monotonicMs()]).toEqual([6_000, before]);
  });

  it('does not go back', async () => {
    await expect(new ManualClock().advance(-1)).rejects.toThrow(RangeError);
  });
});
