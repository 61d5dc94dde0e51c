import { figures } from '../terminal.js';
import { AuditApi, type AuditVerificationAnswer } from './audit-api.js';
import { polled, type Travel } from './journey.js';
import { thousands } from './progress.core.js';
import { type Counts, total } from '../../rails/reconciliation.js';
import type { Report } from './report.js';

/** Until so many decisions are logged, and an outcome for each intent: what follows from a decision is then on the bus. */
export async function waitForOutcomes(travel: Travel, decisions: number): Promise<void> {
  const api = new AuditApi(travel.api);
  await polled(
    travel,
    async () => {
      const { by_kind } = await api.status();
      travel.progress.at('Carrying out what was decided', by_kind['outcome'] ?? 0, by_kind['intent']);
      return by_kind;
    },
    ({ decision = 0, intent = 0, outcome = 0 }) => decision >= decisions && intent === outcome,
  );
}

/** So long the audit log may be behind the bus before it is said to lack something. */
const LOG_BEHIND_MS = 20_000;

/** Leaves of a run by kind, once all its records are logged or the log has had its time. */
export async function leavesOf(travel: Travel, runId: string, records: number): Promise<Counts> {
  const api = new AuditApi(travel.api);
  const endMs = travel.clock.monotonicMs() + LOG_BEHIND_MS;
  return await polled(
    travel,
    async () => {
      const byKind = await api.run(runId);
      travel.progress.at('Counting leaves of the audit log', total(byKind), records);
      return byKind;
    },
    (byKind) => total(byKind) >= records || travel.clock.monotonicMs() > endMs,
  );
}

/** Until a checkpoint covers every record that has its place now. */
export async function waitForSigned(travel: Travel, records: number): Promise<void> {
  const api = new AuditApi(travel.api);
  await polled(
    travel,
    async () => {
      const status = await api.status();
      travel.progress.at('Signing the audit log', status.signed, records);
      return status;
    },
    ({ signed, leaves }) => signed >= records && signed === leaves,
  );
}

/** Has the whole log checked by the process that keeps it. */
export async function auditVerified(travel: Travel): Promise<AuditVerificationAnswer> {
  const api = new AuditApi(travel.api);
  const { verification_id: id } = await api.verify();
  return await polled(
    travel,
    async () => {
      const now = await api.verification(id);
      travel.progress.at('Checking the audit log', now.checked, now.size);
      return now;
    },
    ({ state }) => state !== 'RUNNING',
  );
}

/** What was checked; what is not as it must be first, by file. */
export function auditReport(found: AuditVerificationAnswer): Report {
  const { state, size, checkpoints, on_bus, beyond_retention, not_yet, by_kind, fault, detail, took_ms } = found;
  const ok = state === 'DONE' && fault === undefined && on_bus + beyond_retention === size;
  return {
    ok,
    document: { verified: ok, ...found },
    lines: [
      ...figures([
        ['leaves of the audit log', thousands(size)],
        ...Object.entries(by_kind).map(([kind, count]) => [`  ${kind}`, thousands(count)] as const),
        ['the same record on the bus', thousands(on_bus)],
        ...(beyond_retention === 0 ? [] : [['kept by the log alone', thousands(beyond_retention)] as const]),
        ...(not_yet === 0 ? [] : [['came since', thousands(not_yet)] as const]),
        ['signed checkpoints', thousands(checkpoints)],
      ]),
      ...(fault === undefined ? [] : [`The first that is not as it must be: ${fault.file} ${fault.says}`]),
      ...(detail === undefined ? [] : [detail]),
      ok
        ? `Audit log verified in ${(took_ms / 1_000).toFixed(1)} s: signatures, tree and bus agree.`
        : 'Audit log NOT verified.',
    ],
  };
}
