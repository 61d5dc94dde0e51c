import { isTerminal } from './scenario-runner.core.js';
import type { RunStatus } from './scenario-runner.port.js';
import type { RunRow } from './scenario-runner.store.js';

/** The run as others see it: what is decided but not yet committed to its objects is not shown. */
export function statusOf(row: RunRow): RunStatus {
  const { intent, state, plan, factsView, messageId, engine, detail, supersededBy } = row;
  const { request } = intent;
  return {
    run_id: intent.pins.run_id,
    run_equivalence_key: request.run_equivalence_key,
    pins: intent.pins,
    kind: intent.kind,
    state,
    reasons: isTerminal(state) ? [...row.reasons] : [],
    attempts: row.attempts,
    requested_at_utc: intent.requested_at_utc,
    changed_at_utc: row.changedAt,
    ...(detail === null || detail === '' ? {} : { detail }),
    ...(plan === null ? {} : { plan }),
    ...(factsView === null || state !== 'READY' ? {} : { facts_view: factsView }),
    ...(messageId === null || state !== 'READY'
      ? {}
      : { message_id: messageId as NonNullable<RunStatus['message_id']> }),
    ...(engine === null || state !== 'EXECUTING' ? {} : { engine }),
    ...(request.supersedes === undefined ? {} : { supersedes: request.supersedes.run_id }),
    ...(supersededBy === null ? {} : { superseded_by: supersededBy as RunStatus['run_id'] }),
  };
}
