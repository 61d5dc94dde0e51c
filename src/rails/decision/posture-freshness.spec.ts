import { describe, expect, it } from '@jest/globals';
import { MOST_RESTRICTIVE } from '../capability-mask.js';
import { digestText } from '../digest.js';
import type { Posture } from '../events/posture.schema.js';
import { fromEpochMs } from '../time.js';
import { postureUse } from './posture-freshness.js';

const NOW = Date.parse('2026-01-01T00:00:00Z');
const at = (ms: number): Posture => ({
  scope_key: 'GLOBAL',
  mode: 'NORMAL',
  mask: MOST_RESTRICTIVE,
  health: 'HEALTHY',
  reason_codes: [],
  triggers: [],
  snapshot_id: digestText('r'),
  policy_rev: null,
  posture_seq: 1,
  decided_at_utc: fromEpochMs(ms),
});

describe('a posture', () => {
  it.each([
    ['just confirmed', NOW, 'USED'],
    ['as old as may be', NOW - 5_000, 'USED'],
    ['older than that', NOW - 5_001, 'STALE'],
    ['of a clock that is a little ahead', NOW + 2_000, 'USED'],
    ['from the future', NOW + 2_001, 'STALE'],
  ])('that is %s', (_, decidedMs, status) => {
    expect(postureUse(at(decidedMs), NOW, 5_000).status).toBe(status);
  });

  it('that was never decided is none', () => {
    expect(postureUse(null, NOW, 5_000)).toEqual({ status: 'UNAVAILABLE' });
  });
});
