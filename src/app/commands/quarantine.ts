import { readFileSync } from 'node:fs';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { throughDoor } from '../client/through-door.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import type { DoorFlags } from '../flags.js';
import { table, type Terminal } from '../terminal.js';
import type { UnitTable } from '../unit-table.js';
import { receiptLines } from './receipt.js';
import { runIdFrom } from './run.js';

export interface QuarantineListFlags extends DoorFlags {
  readonly limit: number;
  readonly cursor?: string;
  readonly run?: string;
  readonly reason?: string;
  readonly producer?: string;
}

export async function listQuarantine(
  units: UnitTable,
  flags: QuarantineListFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  return await throughDoor({ table: units, flags, terminal, name: 'quarantine', roles: ['ig'] }, async ({ api }) => {
    const { limit, cursor, reason, producer } = flags;
    const run_id = flags.run === undefined ? undefined : runIdFrom(flags.run);
    const page = await api.quarantine({ limit, cursor, run_id, reason, producer });
    terminal.answer(page, [
      ...table(
        ['QUARANTINE ID', 'DECIDED', 'REASON', 'PRODUCER', 'RELEASED', 'WHAT IS WRONG'],
        page.entries.map(({ quarantine_id, receipt, superseded_by }) => [
          quarantine_id,
          receipt.decided_at_utc,
          receipt.reason_codes.join(','),
          receipt.producer ?? '-',
          superseded_by === undefined ? 'no' : 'yes',
          receipt.quarantine?.detail ?? '',
        ]),
      ),
      ...(page.entries.length === 0 ? ['Nothing is quarantined here.'] : []),
      ...(page.next_cursor === undefined ? [] : [`There are more: --cursor ${page.next_cursor}`]),
    ]);
    return EXIT.OK;
  });
}

/** One quarantined event; with a purpose its raw bytes, too, and then who read them is recorded. */
export async function showQuarantined(
  units: UnitTable,
  id: string,
  flags: DoorFlags & { readonly evidence?: string },
  terminal: Terminal,
): Promise<ExitCode> {
  return await throughDoor({ table: units, flags, terminal, name: 'quarantine', roles: ['ig'] }, async ({ api }) => {
    const entry = await api.quarantined(id);
    const evidence = flags.evidence === undefined ? undefined : await api.evidence(id, flags.evidence);
    terminal.answer({ ...entry, ...(evidence === undefined ? {} : { evidence }) }, [
      ...receiptLines(entry.receipt),
      ...(entry.superseded_by === undefined ? [] : [`  released or corrected by receipt ${entry.superseded_by}`]),
      ...(evidence === undefined
        ? ['  To see what was sent: --evidence "<what for>"']
        : ['  What was sent:', textOf(evidence)]),
    ]);
    return EXIT.OK;
  });
}

/** The bytes as text where they are text. */
function textOf(evidence: unknown): string {
  const text: unknown = Reflect.get(Object(evidence) as object, 'text');
  return typeof text === 'string' ? text : JSON.stringify(evidence);
}

/** Lets a quarantined event in by the same door, as it was or corrected. Exit 1 where it is refused again. */
export async function releaseQuarantined(
  units: UnitTable,
  id: string,
  flags: DoorFlags & { readonly reason: string; readonly correction?: string },
  terminal: Terminal,
): Promise<ExitCode> {
  const correction = flags.correction === undefined ? undefined : correctionFile(flags.correction);
  return await throughDoor({ table: units, flags, terminal, name: 'quarantine', roles: ['ig'] }, async ({ api }) => {
    const body = { reason: flags.reason, ...(correction === undefined ? {} : { correction }) };
    const receipt = await api.release(id, body);
    terminal.answer(receipt, receiptLines(receipt));
    return receipt.decision === 'QUARANTINE' ? EXIT.FAILED : EXIT.OK;
  });
}

function correctionFile(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as unknown;
  } catch (cause) {
    throw new ProbityError('CONFIG_UNREADABLE', `${path}: this is not a readable file with one envelope in JSON`, {
      cause,
    });
  }
}
