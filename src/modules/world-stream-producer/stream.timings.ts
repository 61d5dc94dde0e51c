import type { BackOff } from './answers.core.js';

/** Times that the mechanism lives by. Not policy: they decide how soon, never what. */
export abstract class StreamTimings {
  /** How long a holder that says nothing keeps its stream; after a crash the stream stands still for that long. */
  abstract readonly leaseMs: number;
  /** How often streams without a holder are looked for. */
  abstract readonly pickUpMs: number;
  /** Least time between two checkpoints of a stream: what a crash sends again is what was answered in it. */
  abstract readonly checkpointMs: number;
  /** How long one call of the gate may take. */
  abstract readonly callMs: number;
  abstract readonly backOff: BackOff;
  /** After so long without an answer the stream is PAUSED; it goes on asking, and goes on by itself. */
  abstract readonly pausedAfterMs: number;
  /** How often an event that is quarantined retryably is sent again. */
  abstract readonly quarantineRetriesMax: number;
}

export const STREAM_TIMINGS = {
  leaseMs: 10_000,
  pickUpMs: 2_000,
  checkpointMs: 100,
  // A gate that takes a thousand events in an eighth of a second and has sixteen such calls before it needs two.
  callMs: 10_000,
  backOff: { firstMs: 50, maxMs: 5_000 },
  pausedAfterMs: 60_000,
  quarantineRetriesMax: 3,
} satisfies StreamTimings;
