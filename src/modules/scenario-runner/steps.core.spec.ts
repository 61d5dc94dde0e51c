import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { ScenarioId, Seed } from '../../rails/pins.js';
import { digestText } from '../../rails/digest.js';
import { afterEngine, afterEvidence, type Attempt, type EngineAnswer } from './steps.core.js';
import { type EvidenceVerdict, NOTHING_TO_PROVE } from './evidence.core.js';
import { type SealStatus, worldPinsOf } from './sealed-world.js';

const PINS = worldPinsOf({
  kind: 'generate',
  scenario_id: 'baseline' as ScenarioId,
  seed: '7' as Seed,
  parameters: {},
});
const ATTEMPT: Attempt = { number: 1, attemptsMax: 3, tookMs: 0, timeoutMs: 1_000, pollMs: 50, running: false };

const status = (state: SealStatus['state'], more: Partial<SealStatus> = {}): EngineAnswer => ({
  status: { state, pins: PINS, stage: 's', rows_done: 0, ...more },
});
const gaveUp = (retryable: boolean): EngineAnswer =>
  status('FAILED', { error: { code: 'ENGINE_X', detail: 'd', retryable } });
const refused = (retryable: boolean, code = 'ENGINE_X'): EngineAnswer => ({ error: { code, detail: 'd', retryable } });

describe('what follows from the engine', () => {
  it('never READY: neither its success nor its failure is evidence', () => {
    for (const state of ['SEALED_OK', 'SEALED_FAILED'] as const)
      expect(afterEngine(status(state), PINS, ATTEMPT)).toEqual({ move: 'GO', to: 'VERIFYING' });
  });

  it('waits while there is time, never past the limit, and not a millisecond longer', () => {
    fc.assert(
      fc.property(fc.nat(2_000), fc.integer({ min: 1, max: 500 }), fc.boolean(), (tookMs, pollMs, running) => {
        const answer = running ? status('RUNNING') : refused(true);
        const move = afterEngine(answer, PINS, { ...ATTEMPT, tookMs, pollMs });
        if (tookMs < ATTEMPT.timeoutMs) {
          expect(move).toEqual({ move: 'WAIT', waitMs: Math.min(pollMs, ATTEMPT.timeoutMs - tookMs) });
        } else {
          const reason = running ? 'ENGINE_TIMEOUT' : 'ENGINE_LAUNCH_FAILED';
          expect(move).toMatchObject({ move: 'END', state: 'FAILED', reasons: [reason] });
        }
      }),
    );
  });

  it('tries again what may be tried again, as often as the plan allows', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 5 }),
        fc.boolean(),
        (number, max, again) => {
          const move = afterEngine(gaveUp(again), PINS, { ...ATTEMPT, number, attemptsMax: max });
          if (again && number < max) expect(move.move).toBe('RETRY');
          else expect(move).toMatchObject({ move: 'END', state: 'FAILED', reasons: ['ENGINE_EXEC_FAIL'] });
        },
      ),
    );
  });

  it('waits for an engine that cannot be reached, for whatever reason, and tries again what broke', () => {
    for (const code of ['RPC_OUTCOME_UNKNOWN', 'RPC_RESPONSE_INVALID', 'AUTHZ_DENIED', 'AUTHN_FAILED', 'RPC_CANCELLED'])
      expect(afterEngine(refused(false, code), PINS, ATTEMPT)).toEqual({ move: 'WAIT', waitMs: 50 });
    expect(afterEngine(refused(false, 'INTERNAL'), PINS, ATTEMPT).move).toBe('RETRY');
    expect(afterEngine(refused(false, 'INTERNAL'), PINS, { ...ATTEMPT, number: 3 })).toMatchObject({
      move: 'END',
      reasons: ['ENGINE_LAUNCH_FAILED'],
    });
    expect(afterEngine(refused(false, 'RPC_REQUEST_INVALID'), PINS, ATTEMPT)).toMatchObject({ move: 'END' });
  });

  it('ends where the engine refuses, and contradicts where it answers of another world', () => {
    expect(afterEngine(refused(false), PINS, ATTEMPT)).toMatchObject({
      move: 'END',
      state: 'FAILED',
      reasons: ['ENGINE_LAUNCH_FAILED'],
    });
    for (const pins of [
      { ...PINS, seed: '8' as Seed },
      { ...PINS, manifest_fingerprint: digestText('x') as string as (typeof PINS)['manifest_fingerprint'] },
    ])
      expect(afterEngine(status('SEALED_OK', { pins }), PINS, ATTEMPT)).toMatchObject({
        move: 'END',
        state: 'QUARANTINED',
        reasons: ['EVIDENCE_CONFLICT'],
      });
  });
});

describe('what follows from the evidence', () => {
  const waiting: EvidenceVerdict = { verdict: 'WAITING', missing: ['a receipt'] };
  const wait = { state: 'WAITING_EVIDENCE', waitedMs: 0, deadlineMs: 60_000, pollMs: 1_000 } as const;

  it('commits what is complete, also after the deadline', () => {
    expect(afterEvidence(NOTHING_TO_PROVE, { ...wait, waitedMs: 99_999 })).toEqual({ move: 'COMMIT' });
  });

  it('waits for what is missing up to the deadline, to the millisecond', () => {
    expect(afterEvidence(waiting, { ...wait, state: 'VERIFYING' })).toEqual({ move: 'GO', to: 'WAITING_EVIDENCE' });
    expect(afterEvidence(waiting, { ...wait, waitedMs: 59_999 })).toEqual({ move: 'WAIT', waitMs: 1 });
    expect(afterEvidence(waiting, { ...wait, waitedMs: 60_000 })).toMatchObject({
      move: 'END',
      state: 'FAILED',
      reasons: ['EVIDENCE_MISSING_DEADLINE'],
    });
  });

  it('fails on a refusal and quarantines a contradiction, at once', () => {
    const fail: EvidenceVerdict = { verdict: 'FAIL', reason: 'GATE_FAIL', findings: ['gate x: FAIL'] };
    expect(afterEvidence(fail, wait)).toMatchObject({
      state: 'FAILED',
      reasons: ['GATE_FAIL'],
      detail: 'gate x: FAIL',
    });
    const conflict: EvidenceVerdict = { verdict: 'CONFLICT', findings: ['a', 'b'] };
    expect(afterEvidence(conflict, wait)).toMatchObject({
      state: 'QUARANTINED',
      reasons: ['EVIDENCE_CONFLICT'],
      detail: 'a; b',
    });
  });
});
