import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { allowsNoMoreThan, MOST_RESTRICTIVE, unrestricted } from '../../rails/capability-mask.js';
import { POSTURE_MODES } from '../../rails/events/posture.schema.js';
import { sealPolicy } from '../../rails/policy-rev.js';
import { evaluate, type Evaluated, maskFaults, type Prior, type Reading } from './ladder.core.js';
import type { LadderPolicy } from './ladder.schema.js';

const NORMAL = unrestricted(['core_card', 'core_account']);
const policy: LadderPolicy = {
  evaluate_every_ms: 1_000,
  reading_age_max_ms: 5_000,
  quiet_ms: 10_000,
  signals: [
    { name: 'integrity', metric: 'x', statistic: 'sum', required: true },
    { name: 'lag', metric: 'y', statistic: 'max', required: false },
  ],
  rungs: {
    DEGRADED_1: [{ signal: 'lag', above: 10 }],
    DEGRADED_2: [{ signal: 'lag', above: 100 }],
    FAIL_CLOSED: [{ signal: 'integrity', above: 0 }],
  },
  masks: {
    NORMAL,
    DEGRADED_1: { ...NORMAL, action_posture: 'STEP_UP_ONLY' },
    DEGRADED_2: { ...NORMAL, allow_ieg: false, allowed_feature_groups: [], action_posture: 'STEP_UP_ONLY' },
  },
};
const policyRev = sealPolicy('dl.ladder', 1, {}).policy_rev;
const START = Date.parse('2026-01-01T00:00:00Z');

const readings = (lag: number | null, integrity: number | null = 0): readonly Reading[] => [
  { signal: 'integrity', value: integrity, quality: integrity === null ? 'MISSING' : 'OK' },
  { signal: 'lag', value: lag, quality: lag === null ? 'MISSING' : 'OK' },
];

/** Evaluations a second apart, each on what the one before has left. */
function trace(steps: readonly (readonly Reading[])[], from: Prior | 'damaged' | null = null): readonly Evaluated[] {
  const made: Evaluated[] = [];
  let prior = from;
  let lastSeq = 0;
  steps.forEach((taken, second) => {
    const next = evaluate({
      scopeKey: 'GLOBAL',
      policy,
      policyRev,
      readings: taken,
      prior,
      nowMs: START + second * 1_000,
      lastSeq,
    });
    made.push(next);
    prior = next;
    lastSeq = next.posture.posture_seq;
  });
  return made;
}

const modes = (made: readonly Evaluated[]): string => made.map(({ posture: { mode } }) => mode).join(' ');
const times = <Value>(count: number, value: Value): readonly Value[] => Array.from({ length: count }, () => value);

describe('the ladder', () => {
  it('goes down at once to the worst rung that holds, and up one rung at a time, each after the quiet period', () => {
    const made = trace([readings(0), readings(500), ...times(21, readings(0))]);
    expect(modes(made)).toBe(
      [
        'NORMAL',
        'DEGRADED_2',
        ...times(10, 'DEGRADED_2'),
        // Ten seconds without a reason to stay: one rung; ten more: the next.
        ...times(10, 'DEGRADED_1'),
        'NORMAL',
      ].join(' '),
    );
    expect(made.map(({ posture }) => posture.posture_seq).at(-1)).toBe(4);
  });

  it('begins the quiet period anew when the reason comes back on the way', () => {
    const made = trace([readings(50), ...times(9, readings(0)), readings(50), ...times(10, readings(0)), readings(0)]);
    expect(modes(made.slice(0, 21))).toBe(times(21, 'DEGRADED_1').join(' '));
    expect(made.at(-1)?.posture.mode).toBe('NORMAL');
  });

  it('the same readings give the same postures, twice', () => {
    const steps = [
      readings(0),
      readings(50),
      readings(null),
      readings(500, 0),
      readings(0, 1),
      ...times(30, readings(0)),
    ];
    expect(trace(steps)).toEqual(trace(steps));
  });

  it('without a required signal it is BLIND and closed, and says which; one that may run nowhere is not missed', () => {
    const [blind] = trace([readings(0, null)]);
    expect(blind?.posture).toMatchObject({
      mode: 'FAIL_CLOSED',
      mask: MOST_RESTRICTIVE,
      health: 'BLIND',
      reason_codes: ['SIGNAL_STALE_REQUIRED:integrity'],
    });
    expect(trace([readings(null, 0)])[0]?.posture).toMatchObject({ mode: 'NORMAL', health: 'HEALTHY' });
  });

  it('while a signal cannot be read it does not climb', () => {
    const unread: readonly Reading[] = [
      { signal: 'integrity', value: 0, quality: 'OK' },
      { signal: 'lag', value: null, quality: 'ERROR' },
    ];
    const made = trace([readings(50), ...times(30, unread)]);
    expect(made.at(-1)?.posture).toMatchObject({ mode: 'DEGRADED_1', health: 'IMPAIRED' });
    expect(modes(trace([readings(50), ...times(30, readings(0))]))).toContain('NORMAL');
  });

  it('with a stored posture that cannot be read it is BROKEN and closed, and climbs from there', () => {
    const made = trace([readings(0), ...times(31, readings(0))], 'damaged');
    expect(made[0]?.posture).toMatchObject({ mode: 'FAIL_CLOSED', health: 'BROKEN' });
    expect(made.at(-1)?.posture.mode).toBe('NORMAL');
  });

  it('raises its number with every material change and never for a confirmation', () => {
    const lags = fc.array(fc.constantFrom(0, 50, 500), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(lags, (values) => {
        const made = trace(values.map((lag) => readings(lag)));
        made.forEach(({ posture, isMaterial }, at) => {
          const before = made[at - 1]?.posture;
          const changed = before === undefined || before.mode !== posture.mode;
          expect(isMaterial).toBe(changed);
          expect(posture.posture_seq).toBe((before?.posture_seq ?? 0) + (changed ? 1 : 0));
          // One rung up at a time; down as far as it takes.
          const climbed = POSTURE_MODES.indexOf(before?.mode ?? posture.mode) - POSTURE_MODES.indexOf(posture.mode);
          expect(climbed).toBeLessThanOrEqual(1);
        });
      }),
    );
  });
});

describe('the masks of a policy', () => {
  it('allow no more the lower the mode; one that does is refused with its place', () => {
    expect(maskFaults(policy)).toEqual([]);
    const odd = { ...policy, masks: { ...policy.masks, DEGRADED_2: NORMAL } };
    expect(maskFaults(odd)).toEqual([
      { pointer: '/masks/DEGRADED_2', sentence: 'DEGRADED_2 allows something that DEGRADED_1 forbids' },
    ]);
    expect(allowsNoMoreThan(MOST_RESTRICTIVE, policy.masks.DEGRADED_2)).toBe(true);
  });
});
