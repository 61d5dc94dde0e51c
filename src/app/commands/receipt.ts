import type { Receipt } from '../../modules/ingestion-gate/ingestion-gate.port.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { throughDoor } from '../client/through-door.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import type { DoorFlags } from '../flags.js';
import type { Terminal } from '../terminal.js';
import type { UnitTable } from '../unit-table.js';
import { runIdFrom } from './run.js';

export interface ReceiptFlags extends DoorFlags {
  readonly event?: string;
  readonly run?: string;
}

/** What became of a submission, by its receipt, or of an event, by its id. Exit 1 where nothing is known. */
export async function showReceipt(
  units: UnitTable,
  id: string | undefined,
  flags: ReceiptFlags,
  terminal: Terminal,
): Promise<ExitCode> {
  if ((id === undefined) === (flags.event === undefined)) {
    throw new ProbityError('CONFIG_INVALID', 'say which: the id of a receipt, or --event with the id of an event');
  }
  return await throughDoor({ table: units, flags, terminal, name: 'receipt', roles: ['ig'] }, async ({ api }) => {
    const run = flags.run === undefined ? undefined : runIdFrom(flags.run);
    const receipts = id === undefined ? await api.receiptsOfEvent(flags.event ?? '', run) : [await api.receipt(id)];
    terminal.answer(
      { receipts },
      receipts.length === 0
        ? [`No event ${flags.event ?? ''} was admitted${run === undefined ? '' : ` in run ${run}`}.`]
        : receipts.flatMap(receiptLines),
    );
    return receipts.length === 0 ? EXIT.FAILED : EXIT.OK;
  });
}

export function receiptLines(receipt: Receipt): readonly string[] {
  const { decision, reason_codes, eb_ref, quarantine, pins } = receipt;
  const type = [receipt.event_type, receipt.schema_version].filter(Boolean).join(' ');
  return [
    `Receipt ${receipt.receipt_id}: ${decision}${reason_codes.length === 0 ? '' : ` (${reason_codes.join(', ')})`}`,
    `  event ${receipt.event_id ?? 'without a readable id'}${type === '' ? '' : `, ${type}`}${receipt.ts_utc === undefined ? '' : `, ${receipt.ts_utc}`}`,
    ...(eb_ref === undefined ? [] : [`  on ${eb_ref.topic}, partition ${eb_ref.partition}, offset ${eb_ref.offset}`]),
    ...(receipt.original_receipt_id === undefined ? [] : [`  first admitted by ${receipt.original_receipt_id}`]),
    ...(quarantine === undefined
      ? []
      : [`  quarantined at ${quarantine.stage}: ${quarantine.detail}`, `  quarantine id ${quarantine.quarantine_id}`]),
    ...(receipt.supersedes_ref === undefined ? [] : [`  takes the place of ${receipt.supersedes_ref}`]),
    ...(pins !== undefined && 'run_id' in pins ? [`  run ${pins.run_id}, scenario ${pins.scenario_id}`] : []),
    `  decided ${receipt.decided_at_utc} for ${receipt.principal} as ${receipt.producer ?? 'nobody'}, policy ${receipt.policy_rev.policy_id} revision ${receipt.policy_rev.revision}`,
  ];
}
