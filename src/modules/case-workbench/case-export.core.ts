import type { Case, CaseEvent } from './case.schema.js';

/** A case as it was when the export began, with the entries that make it. */
export interface ExportedCase {
  readonly case: Case;
  readonly timeline: readonly CaseEvent[];
}

export interface CaseFilter {
  readonly status?: string;
  readonly queue?: string;
  /** null for those that nobody has. */
  readonly assignee?: string | null;
  readonly runId?: string;
}

/** Whether the list would show it under the same filters. */
export function isWanted(found: Case, { status, queue, assignee, runId }: CaseFilter): boolean {
  return (
    (status === undefined || found.status === status) &&
    (queue === undefined || found.queue === queue) &&
    (assignee === undefined || found.assignee === assignee) &&
    (runId === undefined || found.pins.run_id === runId)
  );
}

const COLUMNS: readonly (readonly [string, (found: Case) => string | number | null | undefined])[] = [
  ['case_id', ({ case_id }) => case_id],
  ['run_id', ({ pins }) => pins.run_id],
  ['subject_event_id', ({ subject_event_id }) => subject_event_id],
  ['status', ({ status }) => status],
  ['queue', ({ queue }) => queue],
  ['priority', ({ priority }) => priority],
  ['assignee', ({ assignee }) => assignee],
  ['disposition', ({ disposition }) => disposition?.value],
  ['disposition_by', ({ disposition }) => disposition?.by],
  ['label_state', ({ label }) => label.state],
  ['label_id', ({ label }) => label.label_id],
  ['triggers', ({ triggers }) => triggers],
  ['entries', ({ case_seq }) => case_seq],
  ['opened_at_utc', ({ opened_at_utc }) => opened_at_utc],
  ['changed_at_utc', ({ changed_at_utc }) => changed_at_utc],
];

export const CSV_HEAD = `${COLUMNS.map(([name]) => name).join(',')}\r\n`;

/** A row of RFC 4180: cases alone, since a timeline is not flat. */
export function csvRow({ case: found }: ExportedCase): string {
  return `${COLUMNS.map(([, of]) => field(of(found))).join(',')}\r\n`;
}

export function ndjsonLine(exported: ExportedCase): string {
  return `${JSON.stringify(exported)}\n`;
}

function field(value: string | number | null | undefined): string {
  const text = String(value ?? '');
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
