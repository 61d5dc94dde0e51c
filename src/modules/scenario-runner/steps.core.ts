import { type SealStatus, type WorldPins } from './sealed-world.js';
import { type EvidenceVerdict } from './evidence.core.js';
import { type RunReason, type RunState } from './scenario-runner.port.js';

const WORLD_PINS = [
  'manifest_fingerprint',
  'parameter_hash',
  'seed',
  'scenario_id',
] as const satisfies readonly (keyof WorldPins)[];

/** What to do next with a run. */
export type Move =
  /** Ask again after this time. */
  | { readonly move: 'WAIT'; readonly waitMs: number }
  /** The engine ended an attempt without a seal, and there is another one left. */
  | { readonly move: 'RETRY'; readonly detail: string }
  | { readonly move: 'GO'; readonly to: RunState }
  | { readonly move: 'COMMIT' }
  | {
      readonly move: 'END';
      readonly state: 'FAILED' | 'QUARANTINED';
      readonly reasons: readonly RunReason[];
      readonly detail: string;
    };

export interface Attempt {
  /** Attempts so far, the present one included. */
  readonly number: number;
  readonly attemptsMax: number;
  readonly tookMs: number;
  readonly timeoutMs: number;
  /** How long to wait before the engine is asked again. */
  readonly pollMs: number;
  /** Whether the engine has ever said of this run that it works on the world. */
  readonly running: boolean;
}

/** The answer of the engine to one call: its status, or the error of the call itself. */
export type EngineAnswer = { readonly status: SealStatus } | { readonly error: CallError };

export interface CallError {
  readonly code: string;
  readonly detail: string;
  readonly retryable: boolean;
}

/**
 * What follows from an answer of the engine. An attempt that takes too long ends the run rather than beginning another one:
 * the engine has no way to stop an attempt, so that a second one would only wait for the first.
 */
export function afterEngine(answer: EngineAnswer, pins: WorldPins, attempt: Attempt): Move {
  if ('error' in answer) return afterRefusal(answer.error, attempt);
  const { status } = answer;
  const other = WORLD_PINS.filter((name) => status.pins[name] !== pins[name]);
  if (other.length > 0) {
    const detail = `the engine answered of another world: ${other.join(', ')}`;
    return { move: 'END', state: 'QUARANTINED', reasons: ['EVIDENCE_CONFLICT'], detail };
  }
  switch (status.state) {
    case 'RUNNING':
      return waitOrTimeout({ ...attempt, running: true }, `stage ${status.stage}`);
    case 'SEALED_OK':
    case 'SEALED_FAILED':
      // Success or not is for the evidence to say, never for the engine's answer.
      return { move: 'GO', to: 'VERIFYING' };
    case 'FAILED': {
      const error = status.error ?? { code: 'UNKNOWN', detail: 'the engine gave no reason', retryable: true };
      return againOrEnd(error.retryable, 'ENGINE_EXEC_FAIL', `${error.code}: ${error.detail}`, attempt);
    }
  }
}

/** Codes by which a request itself is refused, beside the engine's own. */
const REFUSALS: ReadonlySet<string> = new Set(['RPC_REQUEST_INVALID', 'VALUE_INVALID', 'CANONICAL_FORM_INVALID']);

/**
 * What follows from a call that ended in an error. Only a refusal of the request ends the run at once: an engine that is busy
 * or away, or to which this process has no right way yet, says nothing about the run, which waits and counts no attempt.
 */
function afterRefusal({ code, detail, retryable }: CallError, attempt: Attempt): Move {
  const why = `${code}: ${detail}`;
  if (code === 'INTERNAL') return againOrEnd(true, 'ENGINE_LAUNCH_FAILED', why, attempt);
  if (!retryable && (code.startsWith('ENGINE_') || REFUSALS.has(code))) return end('ENGINE_LAUNCH_FAILED', why);
  return waitOrTimeout(attempt, why);
}

function againOrEnd(again: boolean, reason: RunReason, why: string, { number, attemptsMax }: Attempt): Move {
  const detail = `attempt ${number} of ${attemptsMax}: ${why}`;
  return again && number < attemptsMax ? { move: 'RETRY', detail } : end(reason, detail);
}

function waitOrTimeout({ tookMs, timeoutMs, pollMs, running }: Attempt, last: string): Move {
  if (tookMs < timeoutMs) return { move: 'WAIT', waitMs: Math.min(pollMs, timeoutMs - tookMs) };
  const detail = `no seal within ${timeoutMs} ms; last: ${last}`;
  return end(running ? 'ENGINE_TIMEOUT' : 'ENGINE_LAUNCH_FAILED', detail);
}

export interface Wait {
  /** In VERIFYING or WAITING_EVIDENCE. */
  readonly state: RunState;
  /** Since evidence was first found missing. */
  readonly waitedMs: number;
  readonly deadlineMs: number;
  readonly pollMs: number;
}

export function afterEvidence(evidence: EvidenceVerdict, { state, waitedMs, deadlineMs, pollMs }: Wait): Move {
  switch (evidence.verdict) {
    case 'COMPLETE':
      return { move: 'COMMIT' };
    case 'FAIL':
      return end(evidence.reason, evidence.findings.join('; '));
    case 'CONFLICT':
      return {
        move: 'END',
        state: 'QUARANTINED',
        reasons: ['EVIDENCE_CONFLICT'],
        detail: evidence.findings.join('; '),
      };
    case 'WAITING':
      if (state === 'VERIFYING') return { move: 'GO', to: 'WAITING_EVIDENCE' };
      if (waitedMs < deadlineMs) return { move: 'WAIT', waitMs: Math.min(pollMs, deadlineMs - waitedMs) };
      return end('EVIDENCE_MISSING_DEADLINE', `missing after ${deadlineMs} ms: ${evidence.missing.join('; ')}`);
  }
}

function end(reason: RunReason, detail: string): Move {
  return { move: 'END', state: 'FAILED', reasons: [reason], detail };
}
