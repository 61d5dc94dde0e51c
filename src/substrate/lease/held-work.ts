import type { Clock } from '../clock/clock.port.js';

/** Thrown by a write under a token that is no longer the latest: whoever gets it stops at once. */
export class LeaseLost extends Error {
  constructor(of: string, token: number) {
    super(`the lease of ${of} with token ${token} was taken over`);
    this.name = 'LeaseLost';
  }
}

/** Nobody wants the work any more, or the process is stopping. */
export class Cancelled extends Error {}

export interface HeldWork {
  readonly clock: Clock;
  /** After this, a holder that says nothing is taken for dead; it is renewed at a third of it. */
  readonly leaseMs: number;
  /** Aborted with `Cancelled` where the process is stopping. */
  readonly stop: AbortSignal;
  /** @throws LeaseLost */
  readonly renew: () => Promise<void>;
  /** Why nobody wants the work any more; null where it is wanted. */
  readonly unwanted: () => Promise<string | null>;
  /** So that another process can go on at once. */
  readonly release: () => Promise<void>;
  /** The work was left to somebody else, or is not wanted any more. */
  readonly onLeft: (why: LeaseLost | Cancelled) => void;
}

/**
 * Works under a lease that was acquired, renews it meanwhile, and gives it back. Every write of the work is to name the lease's token: the signal
 * only spares work that would come to nothing.
 *
 * @returns what the work says; false where it was left
 * @throws what the work throws besides
 */
export async function workUnderLease(
  { clock, leaseMs, stop, renew, unwanted, release, onLeft }: HeldWork,
  work: (signal: AbortSignal) => Promise<boolean>,
): Promise<boolean> {
  const lost = new AbortController();
  const done = new AbortController();
  const keep = async (): Promise<void> => {
    for (;;) {
      await clock.sleep(leaseMs / 3, done.signal);
      if (done.signal.aborted) return;
      try {
        await renew();
        const why = await unwanted();
        if (why !== null) lost.abort(new Cancelled(why));
      } catch (error) {
        // A database that does not answer for a moment takes no lease away; a write under it will say so.
        if (error instanceof LeaseLost) lost.abort(error);
      }
    }
  };
  const kept = keep();
  try {
    return await work(AbortSignal.any([stop, lost.signal]));
  } catch (error) {
    if (!(error instanceof LeaseLost) && !(error instanceof Cancelled)) throw error;
    onLeft(error);
    return false;
  } finally {
    done.abort();
    await kept;
    await release();
  }
}
