import { ProbityError } from '../../rails/errors/probity-error.js';
import type { Clock } from './clock.port.js';

/** A signal that ends by itself: at the deadline, or when the one above it ends. Dispose of it when the work is done. */
export interface Deadline {
  /** Its reason is a ProbityError: RPC_DEADLINE_EXCEEDED, or RPC_CANCELLED when the parent was aborted. */
  readonly signal: AbortSignal;
  /** Ends the timer and leaves the parent; without it a finished call would stay in memory until its deadline. */
  readonly dispose: () => void;
}

/** A deadline on the injected clock's monotonic time, below an optional parent whose end also ends it. */
export function deadline(clock: Clock, atMs: number, parent?: AbortSignal): Deadline {
  const controller = new AbortController();
  const timer = new AbortController();
  const onParent = () => {
    controller.abort(endOf(parent));
    timer.abort(NO_LONGER_NEEDED);
  };
  const dispose = () => {
    parent?.removeEventListener('abort', onParent);
    timer.abort(NO_LONGER_NEEDED);
  };

  if (parent?.aborted === true) {
    controller.abort(endOf(parent));
    return { signal: controller.signal, dispose };
  }
  const leftMs = atMs - clock.monotonicMs();
  if (leftMs <= 0) {
    controller.abort(deadlineExceeded());
    return { signal: controller.signal, dispose };
  }
  parent?.addEventListener('abort', onParent, { once: true });
  if (leftMs !== Infinity) {
    void clock.sleep(leftMs, timer.signal).then(() => {
      if (timer.signal.aborted) return;
      parent?.removeEventListener('abort', onParent);
      controller.abort(deadlineExceeded());
    });
  }
  return { signal: controller.signal, dispose };
}

/** Without a reason of its own an abort makes a DOMException with a stack, which is half the price of a deadline. */
export const NO_LONGER_NEEDED = 'the timer is no longer needed';

/** Why a signal of a deadline ended, as an error that may cross a port. */
export function endOf(signal: AbortSignal | undefined): ProbityError {
  const reason: unknown = signal?.reason;
  return reason instanceof ProbityError ? reason : new ProbityError('RPC_CANCELLED', 'the caller gave up');
}

/**
 * Settles as the work does, or rejects with the signal's end if that comes first. The work itself goes on until it heeds
 * its signal; what it comes to afterwards is dropped, and so is its error.
 */
export async function endsWith<Result>(signal: AbortSignal, work: Promise<Result>): Promise<Result> {
  let leave = (): void => undefined;
  const ended = new Promise<never>((_, reject) => {
    const onAbort = () => reject(endOf(signal));
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    leave = () => signal.removeEventListener('abort', onAbort);
  });
  try {
    return await Promise.race([work, ended]);
  } finally {
    leave();
  }
}

function deadlineExceeded(): ProbityError {
  return new ProbityError('RPC_DEADLINE_EXCEEDED', 'the deadline passed before the work was done');
}
