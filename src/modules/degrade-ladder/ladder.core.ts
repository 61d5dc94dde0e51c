import { allowsNoMoreThan, asMask, type CapabilityMask, MOST_RESTRICTIVE } from '../../rails/capability-mask.js';
import { digestCanonical } from '../../rails/canonical-json.js';
import { type Posture, POSTURE_MODES, type PostureMode } from '../../rails/events/posture.schema.js';
import type { PolicyRev } from '../../rails/policy-rev.js';
import { fromEpochMs } from '../../rails/time.js';
import type { LadderPolicy } from './ladder.schema.js';

export type Quality = 'OK' | 'MISSING' | 'STALE' | 'ERROR';

export interface Reading {
  readonly signal: string;
  /** null unless the quality is OK. */
  readonly value: number | null;
  readonly quality: Quality;
}

/** What the last evaluation left. */
export interface Prior {
  readonly posture: Posture;
  /** Since when a better mode would have been right; null while it would not. */
  readonly quietSinceMs: number | null;
}

export interface Evaluation {
  readonly scopeKey: string;
  readonly policy: LadderPolicy;
  readonly policyRev: PolicyRev;
  readonly readings: readonly Reading[];
  /** null: none was ever decided. `damaged`: what stands there cannot be read. */
  readonly prior: Prior | 'damaged' | null;
  readonly nowMs: number;
  readonly lastSeq: number;
}

export interface Evaluated extends Prior {
  /** Whether the posture says something new; a mere confirmation does not raise its number. */
  readonly isMaterial: boolean;
}

type Trigger = Posture['triggers'][number];
const RUNGS = ['DEGRADED_1', 'DEGRADED_2', 'FAIL_CLOSED'] as const;

/**
 * The ladder. Down at once to the worst rung of which a condition holds; up one rung at a time, each after the quiet period, and only while every
 * signal can be read. What is required and cannot be read makes it BLIND, a stored posture that cannot be read BROKEN: both are FAIL_CLOSED, and the way
 * back is the same climb as from anywhere. The same readings, policy and prior state give the same posture.
 */
export function evaluate(evaluation: Evaluation): Evaluated {
  const { policy, policyRev, readings, prior, nowMs, scopeKey, lastSeq } = evaluation;
  const { triggers, wanted } = conditions(policy, readings);
  const reasons = unreadable(policy, readings);
  const blind = reasons.some(({ required }) => required);
  const health = prior === 'damaged' ? 'BROKEN' : blind ? 'BLIND' : reasons.length > 0 ? 'IMPAIRED' : 'HEALTHY';
  const target: PostureMode = health === 'BROKEN' || health === 'BLIND' ? 'FAIL_CLOSED' : wanted;
  const before = prior === 'damaged' || prior === null ? null : prior;
  const { mode, quietSinceMs } = step(before, target, health === 'IMPAIRED', policy.quiet_ms, nowMs);
  const mask = maskOf(policy, mode);
  const snapshot_id = digestCanonical(readings);
  const isMaterial = before === null || !saysTheSame(before.posture, { mode, mask, policyRev });
  return {
    quietSinceMs,
    isMaterial,
    posture: {
      scope_key: scopeKey,
      mode,
      mask,
      health,
      reason_codes: [
        ...(health === 'BROKEN' ? ['POSTURE_RECORD_CORRUPT'] : []),
        ...reasons.map(({ code }) => code),
        ...(mode !== target ? ['CLIMBING'] : []),
      ],
      triggers,
      snapshot_id,
      policy_rev: policyRev,
      posture_seq: isMaterial ? lastSeq + 1 : before.posture.posture_seq,
      decided_at_utc: fromEpochMs(nowMs),
    },
  };
}

/** What the masks of a policy have to be: a lower mode allows no more than a higher one. */
export function maskFaults(policy: LadderPolicy): readonly { readonly pointer: string; readonly sentence: string }[] {
  const order = ['NORMAL', 'DEGRADED_1', 'DEGRADED_2'] as const;
  return order.slice(1).flatMap((mode, at) => {
    const above = order[at] ?? 'NORMAL';
    if (allowsNoMoreThan(policy.masks[mode], policy.masks[above])) return [];
    return [{ pointer: `/masks/${mode}`, sentence: `${mode} allows something that ${above} forbids` }];
  });
}

function step(
  before: Prior | null,
  target: PostureMode,
  impaired: boolean,
  quietMs: number,
  nowMs: number,
): { readonly mode: PostureMode; readonly quietSinceMs: number | null } {
  if (before === null) return { mode: target, quietSinceMs: null };
  const current = POSTURE_MODES.indexOf(before.posture.mode);
  if (POSTURE_MODES.indexOf(target) >= current) return { mode: target, quietSinceMs: null };
  if (impaired) return { mode: before.posture.mode, quietSinceMs: null };
  const since = before.quietSinceMs ?? nowMs;
  if (nowMs - since < quietMs) return { mode: before.posture.mode, quietSinceMs: since };
  const mode = POSTURE_MODES[current - 1] ?? 'FAIL_CLOSED';
  return { mode, quietSinceMs: mode === target ? null : nowMs };
}

function conditions(
  policy: LadderPolicy,
  readings: readonly Reading[],
): { readonly triggers: Trigger[]; readonly wanted: PostureMode } {
  const values = new Map(readings.map(({ signal, value }) => [signal, value]));
  const triggers: Trigger[] = [];
  let wanted: PostureMode = 'NORMAL';
  for (const rung of RUNGS) {
    for (const { signal, above } of policy.rungs[rung]) {
      const observed = values.get(signal) ?? null;
      if (observed === null || observed <= above) continue;
      wanted = rung;
      triggers.push({ signal, observed, comparison: 'above', threshold: above });
    }
  }
  for (const { signal, quality } of readings) {
    if (quality === 'STALE') triggers.push({ signal, observed: null, comparison: 'stale', threshold: null });
    else if (quality !== 'OK' && isRequired(policy, signal))
      triggers.push({ signal, observed: null, comparison: 'missing', threshold: null });
  }
  return { triggers, wanted };
}

/** A signal that is simply not there and is not required says nothing: its unit may run nowhere. */
function unreadable(
  policy: LadderPolicy,
  readings: readonly Reading[],
): readonly { readonly code: string; readonly required: boolean }[] {
  return readings.flatMap(({ signal, quality }) => {
    const required = isRequired(policy, signal);
    if (quality === 'OK' || (quality === 'MISSING' && !required)) return [];
    return [{ required, code: `${required ? 'SIGNAL_STALE_REQUIRED' : 'SIGNAL_UNREADABLE'}:${signal}` }];
  });
}

function isRequired(policy: LadderPolicy, signal: string): boolean {
  return policy.signals.some(({ name, required }) => name === signal && required);
}

function maskOf(policy: LadderPolicy, mode: PostureMode): CapabilityMask {
  return mode === 'FAIL_CLOSED' ? MOST_RESTRICTIVE : asMask(policy.masks[mode]);
}

function saysTheSame(
  posture: Posture,
  {
    mode,
    mask,
    policyRev,
  }: { readonly mode: PostureMode; readonly mask: CapabilityMask; readonly policyRev: PolicyRev },
): boolean {
  const said = (one: object): string => digestCanonical(one);
  return (
    posture.mode === mode &&
    said(posture.mask) === said(mask) &&
    posture.policy_rev !== null &&
    said(posture.policy_rev) === said(policyRev)
  );
}
