import { Clock } from './clock.port.js';

/**
 * Node's timers hold their delay in 32 bits: a longer one fires after 1 ms instead, and a lease that should be renewed in
 * a month would be renewed a thousand times a second. Longer sleeps are therefore slept in pieces of at most this.
 */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** The machine's time: the wall clock as the operating system corrects it, and a monotonic one that nobody corrects. */
export class SystemClock extends Clock {
  nowMs(): number {
    return Date.now();
  }

  monotonicMs(): number {
    return performance.now();
  }

  sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    const dueAtMs = this.monotonicMs() + durationMs;
    return new Promise((resolve) => {
      if (signal?.aborted === true) {
        resolve();
        return;
      }
      let timer: NodeJS.Timeout | undefined;
      const wake = () => {
        clearTimeout(timer);
        // A signal may live as long as the process; a listener per sleep left on it would be a leak.
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      const sleepOn = () => {
        const leftMs = dueAtMs - this.monotonicMs();
        // Timers may fire a fraction early. Whoever slept for a deadline must not wake before it.
        if (leftMs <= 0) wake();
        else timer = setTimeout(sleepOn, Math.min(Math.ceil(leftMs), TIMER_MAX_MS));
      };
      signal?.addEventListener('abort', wake, { once: true });
      sleepOn();
    });
  }
}
