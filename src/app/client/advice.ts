import type { RunReason } from '../../modules/scenario-runner/scenario-runner.port.js';

/** What a person can do about a run that did not become ready. */
const RUN_ADVICE: Readonly<Record<RunReason, string>> = {
  EQUIV_KEY_COLLISION: 'Use another key: this one stands for another intent.',
  SCENARIO_BINDING_INVALID: 'Correct the request; the detail names the place.',
  ENGINE_LAUNCH_FAILED:
    'See the log of the engine, put right what it names, then begin a new run in its place: add --supersede "<reason>".',
  ENGINE_TIMEOUT:
    'Give the engine more time in the policy sr.gates, then begin a new run in its place: add --supersede "<reason>".',
  ENGINE_EXEC_FAIL:
    'Put right what the detail names, then begin a new run in its place: add --supersede "<reason>". What was sealed before is reused.',
  GATE_FAIL:
    'The world did not pass its gate, so nothing of it may be read. Look at the rejected rows and correct the mapping or the file; what was corrected is another world and another run.',
  EVIDENCE_MISSING_DEADLINE:
    'Evidence of the world did not come in time. Begin a new run in its place: add --supersede "<reason>".',
  UNBINDABLE_OUTPUT: 'The world lacks an output that was asked for: ask for those that it has.',
  EVIDENCE_CONFLICT:
    'The evidence contradicts itself, which is a sign of tampering or of a broken store: keep it, and have the object store looked at.',
  PLAN_DRIFT: 'The plan that stands is not the one that was made: have the object store looked at.',
  FACTS_VIEW_DRIFT: 'The facts view that stands is not the one that was made: have the object store looked at.',
  LEASE_LOST: 'Another process took the run over: ask for its status with probity run status.',
};

export function adviceForRun(reasons: readonly RunReason[]): readonly string[] {
  return reasons.map((reason) => RUN_ADVICE[reason]);
}
