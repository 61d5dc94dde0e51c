import { randomUUID } from 'node:crypto';
import { createWriteStream, existsSync } from 'node:fs';
import { readFile, rename, rm, stat } from 'node:fs/promises';
import { BULK_MAX, type CaseEvent, type Command } from '../../modules/case-workbench/case.schema.js';
import type { Digest } from '../../rails/digest.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { CaseApi, type CaseDone } from '../client/case-api.js';
import { throughDoor } from '../client/through-door.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import type { DoorFlags } from '../flags.js';
import { table, type Terminal } from '../terminal.js';
import type { UnitTable } from '../unit-table.js';
import { runIdFrom } from './run.js';

export interface CaseListFlags extends DoorFlags {
  readonly status?: string;
  readonly queue?: string;
  readonly assignee?: string;
  readonly run?: string;
  readonly limit: number;
  readonly cursor?: string;
}

/** Cases, youngest first. */
export async function listCases(units: UnitTable, flags: CaseListFlags, terminal: Terminal): Promise<ExitCode> {
  const { status, queue, assignee, limit, cursor } = flags;
  const run = flags.run === undefined ? undefined : runIdFrom(flags.run);
  return await throughDoor({ table: units, flags, terminal, name: 'case', roles: ['cases'] }, async ({ api }) => {
    const page = await new CaseApi(api).list({ status, queue, assignee, run, limit, cursor });
    terminal.answer(page, [
      ...table(
        ['CASE', 'STATUS', 'QUEUE', 'PRIORITY', 'WHO', 'FOUND', 'EVENT', 'OPENED'],
        page.cases.map((one) => [
          ...[one.case_id, one.status, one.queue, one.priority, one.assignee ?? '-', one.disposition?.value ?? '-'],
          ...[one.subject_event_id, one.opened_at_utc],
        ]),
      ),
      ...(page.next_cursor === undefined ? [] : [`There are more: --cursor ${page.next_cursor}`]),
    ]);
    return EXIT.OK;
  });
}

/** A case with all that happened in it. */
export async function showCase(
  units: UnitTable,
  caseId: string,
  flags: DoorFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  return await throughDoor({ table: units, flags, terminal, name: 'case', roles: ['cases'] }, async ({ api }) => {
    const shown = await new CaseApi(api).show(caseId);
    const { case: found, timeline } = shown;
    terminal.answer(shown, [
      `Case ${found.case_id}: ${found.status} in ${found.queue}, ${found.priority}, ${found.assignee ?? 'nobody has it'}`,
      `  about event ${found.subject_event_id} of run ${found.pins.run_id}`,
      `  found: ${found.disposition?.value ?? 'nothing yet'}; label: ${found.label.state}${found.label.code === undefined ? '' : ` (${found.label.code})`}`,
      ...found.actions.map(
        ({ action, state, code }) => `  asked for: ${action}: ${state}${code === undefined ? '' : ` (${code})`}`,
      ),
      ...found.evidence.map(({ kind, id }) => `  evidence: ${kind} ${id}`),
      '',
      ...table(
        ['ENTRY', 'TIME', 'WHAT', 'BY', 'SAYS'],
        timeline.map((event) => [
          ...[String(event.case_seq), event.recorded_at_utc, event.type, event.actor.actor_id, saysOf(event)],
        ]),
      ),
    ]);
    return EXIT.OK;
  });
}

export interface CaseOpenFlags extends DoorFlags {
  readonly run: string;
  readonly event: string;
  readonly reason: string;
  readonly key?: string;
}

export async function openCase(units: UnitTable, flags: CaseOpenFlags, terminal: Terminal): Promise<ExitCode> {
  return await throughDoor({ table: units, flags, terminal, name: 'case', roles: ['ig', 'cases'] }, async ({ api }) => {
    const { event: event_id, reason, key = randomUUID() } = flags;
    const run_id = runIdFrom(flags.run);
    return answer(terminal, await new CaseApi(api).open({ run_id, event_id, reason, idempotency_key: key }));
  });
}

export interface CaseDoFlags extends DoorFlags {
  readonly key?: string;
  readonly seen?: number;
}

/** One command in a case. */
export async function doInCase(
  units: UnitTable,
  caseId: string,
  command: Command,
  flags: CaseDoFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  return await throughDoor(
    { table: units, flags, terminal, name: 'case', roles: ['ig', 'labels', 'cases'] },
    async ({ api }) => {
      const { key = randomUUID(), seen } = flags;
      const request = { command, idempotency_key: key, ...(seen === undefined ? {} : { expected_seq: seen }) };
      return answer(terminal, await new CaseApi(api).command(caseId, request));
    },
  );
}

export interface CaseDecideFlags extends CaseDoFlags {
  readonly found: string;
  readonly reason: string;
  readonly file?: string;
}

/** One finding, about one case or about many. @throws CONFIG_INVALID where no case is named, or too many */
export async function decideCases(
  units: UnitTable,
  named: readonly string[],
  flags: CaseDecideFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  const { found: disposition, reason, file, key = randomUUID(), seen } = flags;
  const ids = [...named, ...(file === undefined ? [] : await linesOf(file))];
  const [only] = ids;
  if (only === undefined || ids.length > BULK_MAX)
    throw new ProbityError(
      'CONFIG_INVALID',
      `name 1 to ${BULK_MAX} cases, as words or in --file; these are ${ids.length}`,
    );
  if (ids.length === 1)
    return await doInCase(units, only, { type: 'SET_DISPOSITION', disposition, reason }, flags, terminal);
  if (seen !== undefined) throw new ProbityError('CONFIG_INVALID', '--seen is about one case; these are several');
  return await throughDoor(
    { table: units, flags, terminal, name: 'case', roles: ['ig', 'labels', 'cases'] },
    async ({ api }) => {
      const cases = ids.map((case_id) => ({ case_id: case_id as Digest }));
      const done = await new CaseApi(api).decideMany({ cases, disposition, reason, idempotency_key: key });
      const refused = done.results.flatMap((result) => (result.outcome === 'REFUSED' ? [result] : []));
      terminal.answer(done, [
        `${disposition}: ${done.results.length - refused.length} of ${done.results.length} cases${done.outcome === 'NEW' ? '' : ', done before'}.`,
        ...refused.map(({ case_id, code, detail }) => `  refused by ${case_id}: ${code}: ${detail}`),
      ]);
      return refused.length === 0 ? EXIT.OK : EXIT.FAILED;
    },
  );
}

export interface CaseExportFlags extends DoorFlags {
  readonly out: string;
  readonly purpose: string;
  readonly format: 'ndjson' | 'csv';
  readonly status?: string;
  readonly queue?: string;
  readonly assignee?: string;
  readonly run?: string;
}

/** Cases as a file, which appears under its name once it is whole. @throws CONFIG_INVALID where something stands there */
export async function exportCases(units: UnitTable, flags: CaseExportFlags, terminal: Terminal): Promise<ExitCode> {
  const { out, purpose, format, status, queue, assignee } = flags;
  const run = flags.run === undefined ? undefined : runIdFrom(flags.run);
  return await throughDoor({ table: units, flags, terminal, name: 'case', roles: ['cases'] }, async ({ api }) => {
    if (existsSync(out)) throw new ProbityError('CONFIG_INVALID', `${out} is there already; nothing is overwritten`);
    const part = `${out}.${randomUUID()}.part`;
    try {
      const query = { purpose, format, status, queue, assignee, run };
      await new CaseApi(api).export(query, () => createWriteStream(part, { mode: 0o600 }));
      await rename(part, out);
    } finally {
      await rm(part, { force: true });
    }
    const { size } = await stat(out);
    terminal.answer({ out, format, bytes: size }, [`${out}: ${size} bytes.`]);
    return EXIT.OK;
  });
}

/** The lines of a file that say something. */
async function linesOf(path: string): Promise<readonly string[]> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new ProbityError('CONFIG_INVALID', `${path} cannot be read`, { cause: error });
  });
  return text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

function answer(terminal: Terminal, done: CaseDone): ExitCode {
  const { case: found, outcome } = done;
  const label = found.label.state === 'PENDING' ? ', its label on its way' : '';
  terminal.answer(done, [
    `${outcome === 'NEW' ? 'Done' : 'Done before'}: case ${found.case_id} is ${found.status} at entry ${found.case_seq}${label}.`,
  ]);
  return EXIT.OK;
}

/** What an entry says beside what it is. */
function saysOf(event: CaseEvent): string {
  switch (event.type) {
    case 'CASE_TRIGGERED':
      return [event.trigger, event.reason ?? ''].filter((text) => text !== '').join(': ');
    case 'ASSIGNED':
      return event.to;
    case 'UNASSIGNED':
      return '';
    case 'PRIORITY_SET':
      return event.priority;
    case 'ESCALATED':
      return `${event.queue}: ${event.reason}`;
    case 'NOTE_ADDED':
      return event.text;
    case 'EVIDENCE_ATTACHED':
      return `${event.evidence.kind} ${event.evidence.id}`;
    case 'DISPOSITION_SET':
      return `${event.disposition}: ${event.reason}`;
    case 'LABEL_SUBMITTED':
      return `${event.label_type} ${event.label_value}`;
    case 'LABEL_ACCEPTED':
      return event.label_id;
    case 'LABEL_REJECTED':
      return `${event.code}: ${event.detail}`;
    case 'ACTION_SUBMITTED':
      return `${event.action} (${event.action_type}): ${event.reason}`;
    case 'ACTION_ADMITTED':
      return event.receipt_id;
    case 'ACTION_REFUSED':
      return `${event.code}: ${event.detail}`;
    case 'ACTION_OUTCOME':
      return [event.status, event.reason_codes.join(', ')].filter((text) => text !== '').join(': ');
    case 'CASE_CLOSED':
    case 'CASE_REOPENED':
      return event.reason;
  }
}
