import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../clock/manual.clock.js';
import { Cancelled, type HeldWork, LeaseLost, workUnderLease } from './held-work.js';

const LEASE_MS = 9_000;

function held(more: Partial<HeldWork> = {}) {
  const seen: string[] = [];
  const clock = new ManualClock();
  const work: HeldWork = {
    ...{ clock, leaseMs: LEASE_MS, stop: new AbortController().signal },
    renew: () => Promise.resolve(void seen.push('renewed')),
    unwanted: () => Promise.resolve(null),
    release: () => Promise.resolve(void seen.push('released')),
    onLeft: ({ message }) => void seen.push(message),
    ...more,
  };
  return { seen, clock, work };
}

/** Work that ends only where it is told to. */
const untilTold = async (signal: AbortSignal): Promise<boolean> => {
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  throw signal.reason as Error;
};

describe('work under a lease', () => {
  it('renews at a third of it while the work goes on, and gives it back at the end', async () => {
    const { seen, clock, work } = held();
    let end = (): void => undefined;
    const worked = workUnderLease(work, () => new Promise((resolve) => (end = () => resolve(true))));
    await clock.advance(LEASE_MS / 3);
    await clock.advance(LEASE_MS / 3);
    end();
    expect(await worked).toBe(true);
    expect(seen).toEqual(['renewed', 'renewed', 'released']);
  });

  it('is left where the lease was lost, nobody wants it, or the process stops, and each is told', async () => {
    const stop = new AbortController();
    const cases: readonly (readonly [Partial<HeldWork>, string])[] = [
      [{ renew: () => Promise.reject(new LeaseLost('job a', 3)) }, 'the lease of job a with token 3 was taken over'],
      [{ unwanted: () => Promise.resolve('the job was cancelled') }, 'the job was cancelled'],
      [{ stop: stop.signal }, 'the process is stopping'],
    ];
    for (const [more, says] of cases) {
      const { seen, clock, work } = held(more);
      const worked = workUnderLease(work, untilTold);
      await clock.advance(LEASE_MS / 3);
      if (more.stop !== undefined) stop.abort(new Cancelled('the process is stopping'));
      expect([await worked, seen.filter((each) => each !== 'renewed')]).toEqual([false, [says, 'released']]);
    }
  });

  it('goes on where a renewal fails for another reason, and throws what the work throws', async () => {
    const { seen, clock, work } = held({ renew: () => Promise.reject(new Error('the database is away')) });
    let fail = (): void => undefined;
    const worked = workUnderLease(
      work,
      (signal) => new Promise((_, reject) => (fail = () => reject(new Error(signal.aborted ? 'told' : 'not told')))),
    );
    await clock.advance(LEASE_MS / 3);
    fail();
    await expect(worked).rejects.toThrow('not told');
    expect(seen).toEqual(['released']);
  });
});
