import type { Posture } from '../events/posture.schema.js';
import { toEpochMicros } from '../time.js';
import type { PostureUse } from './inputs.js';

/** A clock may run this far ahead of another one; what comes from further in the future is not believed. */
const AHEAD_MAX_MS = 2_000;

/**
 * Whether a posture may still be kept to: by wall clock, whatever world is being replayed. One that was confirmed too long ago, or in the
 * future, is as good as none (law R8).
 */
export function postureUse(posture: Posture | null, nowMs: number, ageMaxMs: number): PostureUse {
  if (posture === null) return { status: 'UNAVAILABLE' };
  const ageMs = nowMs - toEpochMicros(posture.decided_at_utc) / 1_000;
  return ageMs > ageMaxMs || ageMs < -AHEAD_MAX_MS ? { status: 'STALE', posture } : { status: 'USED', posture };
}
