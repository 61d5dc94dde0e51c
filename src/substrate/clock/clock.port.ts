/** The only source of time. Everything that waits or stamps takes it from here, so that a test can hold time still. */
export abstract class Clock {
  /** Wall-clock time in milliseconds since the epoch, with fractions where the platform has them. */
  abstract nowMs(): number;

  /** Milliseconds of a clock that never goes back; only differences mean something. */
  abstract monotonicMs(): number;

  /** Resolves after `durationMs`, or at once when the signal aborts. It never rejects. */
  abstract sleep(durationMs: number, signal?: AbortSignal): Promise<void>;
}
